"""A release on probation: watched, good when its time is over or when somebody says so, and pruned for only then."""

from app import equal, says, true

WATCH = "safe-deploy-watch@demo.service"


def test(app):
    app.running("1")
    app.probation("2", duration="4s")
    app.runs("2", good=["1"], phase="probation")
    app.watches()
    app.machine.until("release-mark --app demo --is idle")
    app.settle()
    app.runs("2", good=["1", "2"], previous="1")
    took = app.ledger()["last"]
    app.is_at_rest()
    equal("the watch", app.properties("Result", "ActiveState", unit=WATCH), {"Result": "success", "ActiveState": "inactive"})
    says(app.machine.run("journalctl --output=cat SAFE_DEPLOY_APP=demo"), "2 is healthy, on probation for 4s",
         "2 is good, after 4s on probation")
    held = [event["monotonic"] for event in app.history() if event["event"] in ("passed", "good")][-2:]
    true(f"the probation took its 4 s: {held}", 4 <= held[1] - held[0] < 8)
    equal("what the watch asked last", [(each["name"], each["verdict"]) for each in app.last_answers("watch")],
          [("port", "ok"), ("answer", "ok")])
    equal("incidents", app.incidents("--all"), [])
    true("how it ended is known", took["outcome"] == "good")

    # Somebody knows enough: the watch ends with that, and quietly.
    app.probation("3", behaviour="turns 503")
    app.watches()
    app.machine.must("release-mark --app demo good && touch /srv/demo/releases/3/sick")
    app.settle()
    equal("the watch", app.properties("Result", "ActiveState", unit=WATCH), {"Result": "success", "ActiveState": "inactive"})
    app.machine.must("rm /srv/demo/releases/3/sick")
    app.runs("3", good=["1", "2", "3"])
    app.is_at_rest()
