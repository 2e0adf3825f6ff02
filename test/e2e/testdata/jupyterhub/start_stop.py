"""Runs JupyterHub's example of starting and stopping a server, as it is, against a Lodge."""

import importlib.util
import os
import sys

spec = importlib.util.spec_from_file_location("example", sys.argv[1])
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

hub, user = os.environ["LODGE_HUB"], sys.argv[2]
session = example.make_session(os.environ["LODGE_ADMIN_TOKEN"])
url = example.start_server(session, hub, user)
answer = session.get(f"{url}/api/status")
answer.raise_for_status()
assert "/api/status HTTP/1.1" in answer.text, answer.text
example.stop_server(session, hub, user)
print("started and stopped")
