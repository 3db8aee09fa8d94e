"""On probation a release is not left where it can't be, nor for a hook that fails after it has passed; a request can't hold up a rollback."""

from app import equal, exits, says_why, true

# What a member of the group can do: fill a directory for as long as somebody empties it.
FILLING = "mkdir /run/safe-deploy/demo/rollback.asked; while :; do : > /run/safe-deploy/demo/rollback.asked/$RANDOM; done"


def test(app):
    machine = app.machine
    app.running("1")

    # The end of the deploy fails when the probation has begun: that is no word against the release, which is watched.
    hook = "/etc/systemd/system/safe-deploy@demo.service.d/hook.conf"
    machine.write({hook: "[Service]\nExecStopPost=/bin/false\n"})
    machine.must("systemctl daemon-reload")
    app.configure("[watch]\nduration = 3s\n")
    app.release("2")
    app.deploy()
    app.settle()
    app.watches()
    app.runs("2", good=["1"], phase="probation")
    app.is_proved()
    app.runs("2", good=["1", "2"])
    machine.must(f"rm {hook} && systemctl daemon-reload")

    # A rollback is not held up by what somebody leaves who may ask for one.
    machine.must(f"useradd --system --gid safe-deploy asker || echo 'u asker - - - -\nm asker safe-deploy' | systemd-sysusers -")
    machine.must(f"systemd-run --quiet --unit=filling --uid=asker --gid=safe-deploy /bin/bash -c '{FILLING}'")
    machine.until("ls /run/safe-deploy/demo/rollback.asked | grep -q .")
    app.release("3", "status 503")
    finished = app.deploy()
    exits(finished, 3, "rolled back to 2")
    true(f"in time: {finished.seconds}", finished.seconds < 20)
    machine.must("systemctl stop filling")
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])

    # Nowhere to go: a person is called, and decides about what still serves.
    app.configure("[watch]\nduration = 10m\n[check answer]\nwhen = health, watch\n")
    app.release("4", "turns 503", **{".irreversible": ""})
    exits(app.deploy(), 0, "on probation")
    app.watches()
    pid = app.property("MainPID")
    machine.must("touch /srv/demo/releases/4/sick")
    machine.until("release-mark --app demo --is stuck")
    app.settle()
    app.is_stuck(good=["1", "2"], bad=["3", "4"])
    says_why(app, "4", "503")
    equal("the process", app.property("MainPID"), pid)

    # What is current and good is not gone back to.
    machine.must("rm /srv/demo/releases/4/sick")
    exits(app.rollback("--to", "2"), 0, "2")
    before = app.snapshot()
    exits(app.rollback("--to", "2"), 0, "2 is current already")
    equal("everything", app.snapshot(), before)
