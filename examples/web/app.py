"""Says who it runs as; `app.py check` asks a running one whether it is well."""
import json
import os
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "8080"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            body, kind = b"ok\n", "text/plain"
        else:
            body, kind = json.dumps({"path": self.path, "uid": os.getuid()}).encode() + b"\n", "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2) as answer:
            sys.exit(0 if answer.read() == b"ok\n" else 1)
    print(f"listening on port {PORT} as uid {os.getuid()}")
    ThreadingHTTPServer((os.environ.get("HOST", ""), PORT), Handler).serve_forever()
