"""systemd finds nothing wrong with any of our units, and each is exposed by 3.0 at most."""

import re

from app import equal, exits, true


def test(app):
    app.running("1")
    shipped = app.machine.must("dpkg --listfiles safe-deploy | grep -E '/systemd/system/[^/]*[.](service|timer)$' | xargs -n 1 basename")
    units = [unit.replace("@", "@demo") for unit in shipped.split()]
    true(f"the units of a deploy are among {units}", {"safe-deploy@demo.service", "safe-deploy-rollback@demo.service"} <= set(units))

    # The machine has no man to ask for the pages: that they are shipped is seen below.
    verified = app.machine.run(["systemd-analyze", "verify", "--man=no", *units, "demo.service"])

    equal("what systemd-analyze verify says", (verified.code, verified.out, verified.err), (0, "", ""))
    for page in set(app.properties_of("Documentation", units)):
        name, section = re.fullmatch(r"man:(.+)\((\d)\)", page.strip("\"")).groups()
        app.machine.must(f"dpkg --listfiles safe-deploy | grep -q '/man{section}/{name}[.]{section}[.]gz$'")
    for unit in units:
        true(f"{unit} says where it is described", app.property("Documentation", unit=unit))
        if unit.endswith(".service"):
            exits(app.machine.run(["systemd-analyze", "security", "--no-pager", "--threshold=30", unit]), 0)
