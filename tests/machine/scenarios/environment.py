"""What the app's unit is given by Environment=, files and credentials is told from what it lacks, and no value is."""

import json

from app import equal, true

SERVICE = """\
Environment=HOST=localhost EMPTY= GONE=1
EnvironmentFile=/etc/demo/env
EnvironmentFile=-/etc/demo/missing
EnvironmentFile=/etc/demo/env.d/*.env
UnsetEnvironment=GONE
LoadCredential=loaded:/etc/demo/credential
SetCredential=set:hunter2
"""

FILES = {
    "/etc/demo/env": "# TOKEN=x\nTOKEN='hunter2' \nLONG=hunter2\\\n hunter2\nQUOTED=\"\"\n",
    "/etc/demo/env.d/1.env": "FIRST=1\nSECOND=1\n",
    "/etc/demo/env.d/2.env": "SECOND=\n",
    "/etc/demo/credential": "hunter2",
}

# What the app itself has of these.
SHOW = "for name in HOST EMPTY GONE TOKEN LONG QUOTED FIRST SECOND OTHER; do eval echo $name=\\${$name-unset}; done"


def check(names, *more):
    return "\n".join(["[check env]", f"environment = {names}", *more, ""])


def test(app):
    machine = app.machine

    def ask(names, *more):
        app.configure(check(names, *more))
        finished = machine.run(["preflight", "--app", "demo", "--only", "env", "--json"])
        true(f"no value is told: {finished}", "hunter2" not in finished.out + finished.err)
        told = json.loads(finished.out)["checks"][0]
        return told["verdict"], told["message"]

    machine.write(FILES)
    app.install(service=SERVICE)
    app.release("1")
    machine.must("ln -s releases/1 /srv/demo/current && systemctl start demo.service")

    equal("all that is given", ask("HOST, TOKEN, LONG, FIRST, loaded, set"),
          ("ok", "demo.service: HOST, TOKEN, LONG, FIRST, loaded, set are set (loaded, set as credentials)"))
    equal("what is not", ask("HOST, OTHER, EMPTY, GONE, QUOTED, SECOND"),
          ("failed", "demo.service: GONE, OTHER are not set, EMPTY, QUOTED, SECOND are empty"))

    # The same as systemd makes of it.
    machine.write({"/etc/systemd/system/demo.service.d/show.conf": f"[Service]\nExecStartPre=/bin/sh -c '{SHOW} > /run/shown'\nUser=root\n"
                   .replace("$", "$$").replace("\\$$", "\\\\$$")})
    machine.must("systemctl daemon-reload && systemctl restart demo.service")
    shown = dict(line.split("=", 1) for line in machine.must("cat /run/shown").splitlines())
    equal("what systemd gives it", shown, {"HOST": "localhost", "EMPTY": "", "GONE": "unset", "TOKEN": "hunter2", "LONG": "hunter2 hunter2",
                                           "QUOTED": "", "FIRST": "1", "SECOND": "", "OTHER": "unset"})

    # Somebody who may not read the file learns nothing of it, and is not told that all is well.
    machine.must("chmod 600 /etc/demo/env")
    app.configure(check("TOKEN"))
    asked = machine.run("setpriv --reuid=nobody --clear-groups preflight --app demo --only env --json")
    told = json.loads(asked.out)["checks"][0]
    equal("what nobody is told", (told["verdict"], told["reason"]), ("skipped", "unreadable"))

    machine.must("rm /etc/demo/env")
    verdict, message = ask("HOST")
    equal("the verdict on a file that is gone", verdict, "failed")
    true(f"the file is named: {message}", "EnvironmentFile= /etc/demo/env is missing" in message)
    true("systemd does not start the unit without it", machine.run("systemctl restart demo.service").code != 0)
