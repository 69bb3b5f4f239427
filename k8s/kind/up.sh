#!/bin/sh
# A cluster on this machine with all of Quillflow: cluster, operators, images, secrets, overlay local, a first model.
#   sh k8s/kind/up.sh OPERATORS
# OPERATORS: a folder with release manifests, applied by name: 1-cert-manager.yaml, 2-gateway-api.yaml, 3-kserve.yaml
# (Standard mode), 4-kfp.yaml (several users, with the profile quillflow: k8s/README.md), and what else the components want. Wants docker, kind, kubectl, openssl, 16 GB.
# Nobody has run it where it was written: there was no network to fetch nodes and operators by.
set -eu
cd "$(dirname "$0")/../.."
operators=${1:?give the folder with the release manifests of KServe and Kubeflow Pipelines}
for program in docker kind kubectl openssl; do
    command -v "$program" >/dev/null || { echo "error: $program is not here" >&2; exit 2; }
done
python=${PYTHON:-.venv/bin/python}

kind get clusters | grep -qx quillflow || kind create cluster --config k8s/kind/cluster.yaml
kubectl config use-context kind-quillflow
for file in "$operators"/*.yaml; do
    # Kinds that a file defines and uses at once are not there at the first try.
    kubectl apply --server-side -f "$file" || { sleep 20; kubectl apply --server-side -f "$file"; }
done
kubectl wait --for=condition=Available deployment --all --all-namespaces --timeout=600s

"$python" -m k8s.images build --tag dev
docker build -t quillflow/mlflow:3.17.2 k8s/platform/mlflow
for image in components:dev serving:dev monitoring:dev web:dev mlflow:3.17.2; do
    kind load docker-image --name quillflow "quillflow/$image"
done

# Secrets: made once, kept by the cluster alone.
kubectl apply -f k8s/base/namespace.yaml -f k8s/platform/namespace.yaml
word() { openssl rand -hex 24; }
if ! kubectl -n quillflow-platform get secret quillflow-platform >/dev/null 2>&1; then
    access=$(word) secret=$(word) admin=$(word) database=$(word)
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cat >"$folder/s3.json" <<JSON
{"identities": [{"name": "quillflow", "credentials": [{"accessKey": "$access", "secretKey": "$secret"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
    cat >"$folder/auth.ini" <<INI
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = postgresql://mlflow:$database@postgres:5432/mlflow
admin_username = quillflow
admin_password = $admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
INI
    kubectl -n quillflow-platform create secret generic quillflow-platform \
        --from-literal=flask-key="$(word)" --from-literal=postgres-password="$database" \
        --from-literal=s3-access-key="$access" --from-literal=s3-secret-key="$secret" \
        --from-file="$folder/auth.ini" --from-file="$folder/s3.json"
    kubectl -n quillflow create secret generic quillflow-s3 \
        --from-literal=AWS_ACCESS_KEY_ID="$access" --from-literal=AWS_SECRET_ACCESS_KEY="$secret"
    kubectl -n quillflow create secret generic quillflow-mlflow \
        --from-literal=MLFLOW_TRACKING_USERNAME=quillflow --from-literal=MLFLOW_TRACKING_PASSWORD="$admin"
    kubectl -n quillflow create secret generic quillflow-tokens \
        --from-literal=serving="$(word)" --from-literal=web="$(word)" --from-literal=governor="$(word)"
fi
"$python" -m pipelines compile --site k8s/kind/site.toml --out build/pipeline.yaml
kubectl -n quillflow create configmap quillflow-pipeline --from-file=build/pipeline.yaml --dry-run=client -o yaml |
    kubectl apply -f -

kubectl apply -k k8s/overlays/local
kubectl -n quillflow create job --from=cronjob/quillflow-lend-token "lend-$(date +%s)"    # not in 20 minutes, but now
kubectl -n quillflow-platform rollout status deployment --timeout=600s
for bucket in quillflow mlflow; do
    echo "s3.bucket.create -name $bucket" | kubectl -n quillflow-platform exec -i deployment/seaweedfs -- weed shell
done

# A first model: the one that ships.
kubectl -n quillflow-platform port-forward service/seaweedfs 18333:8333 >/dev/null &
forward=$!
trap 'kill $forward; rm -rf "${folder:-/nonexistent}"' EXIT
sleep 3
key() { kubectl -n quillflow get secret quillflow-s3 -o "jsonpath={.data.$1}" | base64 -d; }
uri=$(AWS_ENDPOINT_URL=http://127.0.0.1:18333 AWS_ACCESS_KEY_ID=$(key AWS_ACCESS_KEY_ID) \
    AWS_SECRET_ACCESS_KEY=$(key AWS_SECRET_ACCESS_KEY) \
    "$python" -m htr publish htr/pretrained/bundle --name quillflow --store s3://quillflow/store | tail -n 1)
kubectl -n quillflow patch inferenceservice quillflow --field-manager=quillflow-release --type json \
    -p "[{\"op\": \"add\", \"path\": \"/spec/predictor/model/storageUri\", \"value\": \"$uri\"}]"
kubectl -n quillflow wait --for=condition=Ready inferenceservice/quillflow --timeout=300s
kubectl -n quillflow rollout status deployment --timeout=300s
echo "up; now: sh k8s/kind/try.sh"
