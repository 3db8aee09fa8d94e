"""The examples of safe-deploy(7) and safe-deploy-units(7), block by block as they stand there."""

from app import equal, exits
from pages import blocks


def test(app):
    machine = app.machine
    service, enable, answer, second, bad, explained = blocks("safe-deploy.7", "EXAMPLES")
    machine.must(f"set -e\n{service}")
    machine.until("curl --silent --fail http://127.0.0.1:8080/health")
    machine.must(f"set -e\n{enable}")
    machine.must(f"set -e\n{answer}")
    machine.must(f"set -e\n{second}")
    equal("the link", app.link(), "2")
    for script in blocks("safe-deploy-units.7", "EXAMPLES"):
        machine.must(f"set -e\n{script}")
    *arrange, deploy, marks = bad.splitlines()
    machine.must("\n".join(arrange))
    exits(machine.run(deploy), 3)
    machine.must(marks)
    equal("the link", app.link(), "2")
    equal("the bad releases", app.verdicts("bad"), ["3"])
    equal("the hook was run", machine.run("test -s /var/backups/demo.tar").code, 0)
    exits(machine.run(explained), 0, "was rolled back to")
