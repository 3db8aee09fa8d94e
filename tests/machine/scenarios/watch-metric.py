"""A metric that is asked on probation goes out of its bounds: the release is rolled back."""

from app import says_why

CHECK = """
[check queue]
when = watch
interval = 100ms
metric = app_queue_length
file = /srv/demo/metrics
max = 10
"""


def test(app):
    app.running("1")
    app.machine.write({"/srv/demo/metrics": "app_queue_length 3\n"})
    app.probation("2", config=CHECK)
    app.watches()
    app.machine.write({"/srv/demo/metrics": "app_queue_length 300\n"})
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("1", good=["1"], bad=["2"])
    says_why(app, "2", "queue", "app_queue_length", "300")
