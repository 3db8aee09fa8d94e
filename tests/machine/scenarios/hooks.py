"""Hooks in a drop-in of the deploy's unit: before the swap, after it and always, each where the manual says."""

from app import equal, exits, says_why, true

HOOKS = """\
[Service]
ExecStartPre=/bin/sh -c 'echo before: $(readlink /srv/demo/current) >> /var/hooks; exit $(cat /var/before)'
ExecStartPost=/bin/sh -c 'echo after: $(readlink /srv/demo/current) $(release-mark --app demo --is swapped && echo on trial) >> /var/hooks; exit $(cat /var/after)'
ExecStopPost=/bin/sh -c 'echo always: $SERVICE_RESULT >> /var/hooks'
"""


def test(app):
    app.running("1")
    app.machine.write({"/etc/systemd/system/safe-deploy@demo.service.d/20-hooks.conf": HOOKS,
                       "/var/before": "0", "/var/after": "0"})
    app.machine.must("systemctl daemon-reload")

    app.release("2")
    exits(app.deploy(), 0)
    app.runs("2", good=["1", "2"])
    equal("the hooks", app.machine.must("cat /var/hooks").splitlines(),
          ["before: releases/1", "after: releases/2 on trial", "always: success"])

    # One that fails before the swap refuses the deploy.
    app.release("3")
    app.machine.must("echo 1 > /var/before; rm /var/hooks")
    before = app.snapshot()
    exits(app.deploy(), 1)
    app.settle()
    equal("everything", app.snapshot(), before)
    equal("the hooks", app.machine.must("cat /var/hooks").splitlines(), ["before: releases/2", "always: exit-code"])

    # One that fails after it, a smoke test, rolls back.
    app.machine.must("echo 0 > /var/before; echo 1 > /var/after")
    exits(app.deploy(), 3)
    app.settle()
    app.runs("2", good=["1", "2"], bad=["3"])
    true("the reason is told", app.ledger()["releases"]["3"]["reason"])
    says_why(app, "3", "(ExecStartPost= of safe-deploy@demo.service) exited with status 1")
