#!/bin/sh
# Run inside a build, by the Dockerfiles; nothing of it stays in an image.
#   install.sh packages LIST...   what the lists name, each file proven by its hash, into /opt/venv
#   install.sh compile MODULE...  byte code of what importing these loads, and of nothing else: the root is read-only,
#                                 and byte code of everything would be a fifth of the image
#   install.sh code FOLDER...     the wheel of htr and the folders around it, compiled, into /app
# A site's own package index comes as the secret "packages" (lines like UV_DEFAULT_INDEX='https://...') and the
# secret "ca" (PEM); wheels that lie on the building machine come as the image WHEELS_IMAGE, mounted at /wheels.
set -eu

if [ -f /run/secrets/packages ]; then
    set -a
    . /run/secrets/packages
    set +a
fi
if [ -f /run/secrets/ca ]; then
    export SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
fi
if [ -n "$(ls /wheels 2>/dev/null)" ]; then
    export UV_FIND_LINKS="/wheels${UV_FIND_LINKS:+,$UV_FIND_LINKS}" PIP_FIND_LINKS="/wheels ${PIP_FIND_LINKS:-}"
fi
case "$*" in
*torch-cpu*)
    # Not in the public index; uv knows where torch's makers have it.
    if [ -z "$(env | grep -E '^UV_(FIND_LINKS|INDEX|INDEX_URL|EXTRA_INDEX_URL|DEFAULT_INDEX)=.')" ]; then
        export UV_TORCH_BACKEND="${UV_TORCH_BACKEND:-cpu}"
    fi
    ;;
esac
no_index=${NO_INDEX:+--no-index}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_LINK_MODE=copy

what=$1
shift
case $what in
packages)
    if [ ! -d /opt/build ]; then
        python3 -m venv /opt/build
        /opt/build/bin/pip install --quiet --no-compile $no_index --require-hashes -r /locks/build.lock
        python3 -m venv --without-pip /opt/venv
    fi
    for list; do set -- "$@" -r "/locks/$list.lock"; shift; done
    # --no-deps: the lists are complete, and what is not in them does not get in.
    /opt/build/bin/uv pip install --quiet --python /opt/venv/bin/python $no_index --no-deps --require-hashes "$@"
    # Tests, headers and RPC servers of other projects: a tenth of the image that nothing here can reach.
    site=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    for package in numpy pandas pyarrow scipy sklearn statsmodels; do
        [ ! -d "$site/$package" ] || find "$site/$package" -type d -name tests -prune -exec rm -rf {} +
    done
    rm -rf "$site"/pyarrow/include "$site"/pyarrow/*flight*.so*
    ;;
compile)
    for module; do /opt/venv/bin/python -c "import $module"; done
    ;;
code)
    mkdir -p /app
    /opt/build/bin/uv pip install --quiet --python /opt/build/bin/python --offline --no-index --no-deps \
        --no-build-isolation --target /app /src
    for folder; do cp -R "/src/$folder" /app/; done
    # Checked by nothing at run time: the files under a read-only root never change.
    python3 -m compileall -q -f --invalidation-mode unchecked-hash /app
    rm -rf /app/.lock /app/bin
    ;;
*)
    echo "install.sh: packages or code, not $what" >&2
    exit 2
    ;;
esac
