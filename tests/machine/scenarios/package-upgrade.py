"""An upgrade of the package: the app is not touched, the record is kept, the units are the new ones."""

from app import equal, exits, true

NEWER = """
set -e
cd /root
dpkg-deb --raw-extract {package} newer
sed -i 's/^Version: .*/Version: 99/' newer/DEBIAN/control
sed -i 's/^Description=Deploy/Description=Newly deploy/' newer/usr/lib/systemd/system/safe-deploy@.service || \
sed -i 's/^Description=Deploy/Description=Newly deploy/' newer/lib/systemd/system/safe-deploy@.service
dpkg-deb --build newer newer.deb
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ./newer.deb
"""


def test(app, package):
    app.running("1")
    app.machine.write({f"/root/{package.name}": package.read_bytes()})
    before = app.snapshot()

    app.machine.must(NEWER.format(package=package.name))

    equal("everything", app.snapshot(), before)
    equal("the deploy's unit", app.property("Description", unit="safe-deploy@demo.service"), "Newly deploy demo")
    true("the app is guarded", "safe-deploy-failed@" in app.property("OnFailure"))
    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
