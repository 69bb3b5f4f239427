#!/bin/sh
# Tries on a running cluster what only a cluster can show; ends with a status other than 0 at the first thing that is
# not so. Nobody has run it where it was written.
#   sh k8s/kind/try.sh
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
say() { echo "== $*"; }

say "a line is read through the Service, with the token"
kubectl -n quillflow port-forward service/quillflow-serving 18080:8080 >/dev/null &
forward=$!
trap 'kill $forward' EXIT
sleep 3
token=$(kubectl -n quillflow get secret quillflow-tokens -o 'jsonpath={.data.serving}' | base64 -d)
"$python" - "$token" <<'PYTHON'
import base64, io, json, sys, urllib.error, urllib.request

from PIL import Image, ImageDraw

image = Image.new("L", (200, 40), 235)
ImageDraw.Draw(image).text((8, 10), "il pleut", fill=30, font_size=18)
data = io.BytesIO()
image.save(data, "PNG")
body = json.dumps({"instances": [base64.b64encode(data.getvalue()).decode()]}).encode()
url = "http://127.0.0.1:18080/v1/models/htr:predict"
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {sys.argv[1]}"}
answer = json.load(urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30))
assert len(answer["predictions"]) == 1 and answer["bundle_digest"].startswith("sha256:"), answer
try:
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=30)
except urllib.error.HTTPError as error:
    assert error.code == 401, error.code
else:
    raise SystemExit("read without a token")
PYTHON

say "the page may ask the server, and nobody else"
reach() { # POD-SELECTOR HOST PORT: whether a pod of ours gets a connection
    kubectl -n quillflow exec "$1" -- python -c \
        "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)" "$2" "$3" >/dev/null 2>&1
}
reach deployment/quillflow-web quillflow-serving.quillflow.svc.cluster.local 8080
for path in "deployment/quillflow-web quillflow-governor.quillflow.svc.cluster.local 8090" \
    "deployment/quillflow-web mlflow.quillflow-platform.svc.cluster.local 5000" \
    "deployment/quillflow-web kubernetes.default.svc.cluster.local 443" \
    "deployment/quillflow-governor quillflow-web.quillflow.svc.cluster.local 7860"; do
    # shellcheck disable=SC2086 - three words
    if reach $path; then echo "error: allowed: $path" >&2; exit 1; fi
done

say "Pod Security refuses a pod that runs as root"
if kubectl -n quillflow run root --image=quillflow/serving:dev --dry-run=server >/dev/null 2>&1; then
    echo "error: a pod without any security context was admitted" >&2
    exit 1
fi

say "nobody writes to the root of a container"
if kubectl -n quillflow exec deployment/quillflow-governor -- touch /app/x 2>/dev/null; then
    echo "error: /app can be written" >&2
    exit 1
fi

say "a bundle that is not there is never served: the running pod stays"
before=$(kubectl -n quillflow get inferenceservice quillflow -o 'jsonpath={.spec.predictor.model.storageUri}')
nothing="${before%/*}/0000000000000000000000000000000000000000000000000000000000000000"
serve() {
    kubectl -n quillflow patch inferenceservice quillflow --field-manager=quillflow-release --type json \
        -p "[{\"op\": \"replace\", \"path\": \"/spec/predictor/model/storageUri\", \"value\": \"$1\"}]"
}
serve "$nothing"
sleep 60
kubectl -n quillflow get pods -l app.kubernetes.io/component=serving \
    -o 'jsonpath={.items[*].status.containerStatuses[*].ready}' | grep -q true
serve "$before"
kubectl -n quillflow wait --for=condition=Ready inferenceservice/quillflow --timeout=300s

say "MLflow asks for an account"
code=$(kubectl -n quillflow exec deployment/quillflow-governor -- python -c "
import urllib.error, urllib.request
try:
    urllib.request.urlopen('http://mlflow.quillflow-platform.svc.cluster.local:5000/api/2.0/mlflow/experiments/search?max_results=1')
except urllib.error.HTTPError as error:
    print(error.code)")
[ "$code" = 401 ] || { echo "error: MLflow answered ${code:-without an account}" >&2; exit 1; }
echo "all is as it should be"
