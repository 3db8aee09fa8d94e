"""systemd finds nothing wrong with any of our units, and each is exposed by 3.0 at most."""

import re

from app import equal, exits

UNITS = [f"safe-deploy{kind}@demo.service" for kind in ("", "-rollback", "-failed", "-stuck", "-prune", "-reconcile")]


def test(app):
    app.running("1")
    shipped = app.machine.must("dpkg --listfiles safe-deploy | grep '/systemd/system/[^/]*[.]service$' | xargs -n 1 basename | sort")
    equal("the units", shipped.split(), sorted(unit.replace("demo", "") for unit in UNITS))

    # The machine has no man to ask for the pages: that they are shipped is seen below.
    verified = app.machine.run(["systemd-analyze", "verify", "--man=no", *UNITS, "demo.service"])

    equal("what systemd-analyze verify says", (verified.code, verified.out, verified.err), (0, "", ""))
    for page in set(app.properties_of("Documentation", UNITS)):
        name, section = re.fullmatch(r"man:(.+)\((\d)\)", page.strip("\"")).groups()
        app.machine.must(f"dpkg --listfiles safe-deploy | grep -q '/man{section}/{name}[.]{section}[.]gz$'")
    for unit in UNITS:
        exits(app.machine.run(["systemd-analyze", "security", "--no-pager", "--threshold=30", unit]), 0)
