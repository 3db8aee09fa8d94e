"""--force deploys what is current or bad once more, says so in the history, and passes over nothing that makes a swap unsafe."""

from app import equal, exits, true


def test(app):
    app.running("1")
    app.release("2")
    exits(app.deploy(), 0)

    # What is current: with a restart, and `previous` is what it was.
    invocation = app.property("InvocationID")
    exits(app.deploy("2", "--force"), 0, "2 is good")
    true("it was started again", app.property("InvocationID") != invocation)
    app.runs("2", good=["1", "2"], previous="1")
    intent = [line for line in app.history() if line["event"] == "swap-intended"][-1]
    equal("the history", (intent["forced"], intent["release"], intent["from"], intent["by"]["user"]), (True, "2", "2", "root"))

    # It fails: what ran before it is gone back to.
    app.machine.write({f"{app.releases}/2/behaviour": "status 503"})
    exits(app.deploy("--force"), 3, "503", "rolled back to 1")
    app.runs("1", good=["1"], bad=["2"])

    # What is bad, by name only.
    app.machine.write({f"{app.releases}/2/behaviour": "healthy"})
    app.refuses("nothing newer than 1")
    exits(app.deploy("2"), 1, "is bad since")
    exits(app.deploy("2", "--force"), 0)
    app.runs("2", good=["1", "2"], previous="1")

    # What is incomplete stays so, and so does a check that fails.
    app.release("3")
    app.machine.must(f"rm {app.releases}/3/behaviour")
    exits(app.deploy("3", "--force"), 1, "incomplete")
    app.release("3")
    app.configure("[check room]\npath = /nonexistent/room\n")
    exits(app.deploy("3", "--force"), 1, "refused")
    app.runs("2", good=["1", "2"], previous="1")
    equal("what is left", app.machine.must("ls -A /run/safe-deploy/demo"), "")
