"""systemd finds nothing wrong with any of our units, and each is exposed by 3.0 at most."""

from app import equal, exits

UNITS = [f"safe-deploy{kind}@demo.service" for kind in ("", "-rollback", "-failed", "-stuck", "-reconcile")]


def test(app):
    app.running("1")
    shipped = app.machine.must("dpkg --listfiles safe-deploy | grep '/systemd/system/[^/]*$' | xargs -n 1 basename | sort")
    equal("the units", shipped.split(), sorted(unit.replace("demo", "") for unit in UNITS))

    verified = app.machine.run(["systemd-analyze", "verify", *UNITS, "demo.service"])

    equal("what systemd-analyze verify says", (verified.code, verified.out, verified.err), (0, "", ""))
    for unit in UNITS:
        exits(app.machine.run(["systemd-analyze", "security", "--no-pager", "--threshold=30", unit]), 0)
