"""EC2's instance metadata service (IMDSv2) for one job: its instance, and notices of spot interruptions."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TOKEN = "token"
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


class Metadata:
    """A running service on a free port of the loopback."""

    def __init__(self, instance_type, instance_id, zone):
        self._notice = None
        identity = {"instanceId": instance_id, "instanceType": instance_type, "availabilityZone": zone,
                    "pendingTime": time.strftime(_STAMP, time.gmtime())}
        self._documents = {
            "/latest/dynamic/instance-identity/document": lambda: json.dumps(identity),
            "/latest/meta-data/instance-life-cycle": lambda: "spot",
            "/latest/meta-data/spot/instance-action": lambda: self._notice,
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def endpoint(self):
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take_away(self, seconds):
        """From now on it announces that the instance ends in this many seconds."""
        at = time.strftime(_STAMP, time.gmtime(time.time() + seconds))
        self._notice = json.dumps({"action": "terminate", "time": at})

    def end(self):
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self):
        documents = self._documents

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                self._answer(_TOKEN if self.path == "/latest/api/token" else None)

            def do_GET(self):
                document = documents.get(self.path)
                is_allowed = self.headers.get("x-aws-ec2-metadata-token") == _TOKEN
                self._answer(document() if document and is_allowed else None)

            def _answer(self, body):
                self.send_response(404 if body is None else 200)
                self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                body = (body or "").encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        return Handler
