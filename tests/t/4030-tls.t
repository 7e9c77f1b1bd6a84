#!/bin/bash
# TLS: who is believed, and what is said of those who are not (spec/threats.md R1, 18).
. "$(dirname "$0")/../lib.sh"
need kiln python3 openssl || skip_all
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
mkdir "$T/certs"
cd "$T/certs" || exit 1
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca >/dev/null 2>&1
for row in good=IP:127.0.0.1=30 other=DNS:other.test=30 old=IP:127.0.0.1=-1; do
    IFS== read -r name san days <<<"$row"
    openssl req -newkey rsa:2048 -nodes -keyout "$name.key" -out "$name.csr" -subj /CN=x >/dev/null 2>&1
    openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$name.crt" -days "$days" -extfile <(echo "subjectAltName=$san") >/dev/null 2>&1
done
mkdir "$T/trust"
cp ca.crt "$T/trust/"

# Servers that note what they are asked, and whether in plain HTTP. "weak" speaks TLS 1.1 at most, "away" leads to http.
cat >"$T/srv.py" <<'EOF'
import http.server, ssl, sys, threading, warnings
warnings.simplefilter("ignore")
names = ["good", "other", "old", "weak", "away"]
def serve(name, log):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if name == "weak":
        c.set_ciphers("ALL:@SECLEVEL=0")
        c.minimum_version, c.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    cert = name if name in ("good", "other", "old") else "good"
    c.load_cert_chain(cert + ".crt", cert + ".key")
    class H(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *a): pass
        def do_GET(self):
            with open(log, "a") as f: f.write(f"{name} {self.command} {self.path}\n")
            self.send_response(302 if name == "away" else 404)
            if name == "away": self.send_header("Location", plain)
            self.send_header("Content-Length", "0")
            self.end_headers()
        do_HEAD = do_POST = do_PUT = do_GET
        def setup(self):
            first = self.request.recv(1, 0x2)
            if first != b"\x16":
                with open(log, "a") as f: f.write(f"{name} PLAIN\n")
            self.request = c.wrap_socket(self.request, server_side=True)
            super().setup()
    class S(http.server.ThreadingHTTPServer):
        def handle_error(self, *a): pass
    s = S(("127.0.0.1", 0), H)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s.server_port
plain = "http://127.0.0.1:1/x"
print(*[serve(n, sys.argv[1]) for n in names], flush=True)
sys.stdin.read()
EOF
coproc SRV { exec python3 "$T/srv.py" "$T/log"; }
read -r good other old weak away <&"${SRV[0]}"
touch "$T/log"

failed() { # failed NAME PORT REGEX ARGS... - a pull that ends with 3
    status 3 "R1 $1" timeout 60 "$KILN" pull "${@:4}" "127.0.0.1:$2/a/b:1"
    like "$out" "127\.0\.0\.1.*$3" "... names the host and why"
}
failed "a certificate of an unknown CA" "$good" 'unable to get local issuer|self.signed'
like "$out" '--cert-dir' "18 with the option for own certificates"
is "$(cat "$T/log")" "" "R1 nothing was asked, in plain HTTP neither"
failed "with --cert-dir it is believed" "$good" '404' --cert-dir "$T/trust"
is "$(grep -c '^good GET' "$T/log")" 1 "... and asked"
failed "a certificate for another host" "$other" 'no alternative certificate subject name' --cert-dir "$T/trust"
failed "one that has expired" "$old" 'expired' --cert-dir "$T/trust"
failed "TLS before 1.2" "$weak" 'reset|version|protocol' --cert-dir "$T/trust"
unlike "$(cat "$T/log")" '^(other|old|weak) GET|^(good|other|old) PLAIN' "R1 none of them was asked anything, in plain HTTP neither"
status 3 "R4 a redirect from https to http" timeout 60 "$KILN" pull --cert-dir "$T/trust" "127.0.0.1:$away/a/b:1"
like "$out" "refusing the redirect from https to 'http://127.0.0.1:1/x'" "... is refused"
failed "--tls-verify=false" "$other" 404 --tls-verify=false
mkdir "$T/x"
echo 'FROM scratch' >"$T/x/Dockerfile"
status 4 "18 a push is 4" timeout 60 "$KILN" build -t "127.0.0.1:$good/a/b:1" --push "$T/x"
like "$out" '127\.0\.0\.1.*(local issuer|self.signed)' "... with the same words"
like "$out" '--cert-dir' "... and the option"
exec {SRV[1]}>&-
done_testing
