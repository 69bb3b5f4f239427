#!/bin/sh
# What tests need from Debian: installs it where root runs this on Debian, and says otherwise what is missing.
# Tests that miss a program skip, and say which.
set -eu

missing=""
# program, package, what needs it
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need prometheus prometheus                         # rules, dashboards, alerts (tests/integration/test_alerts.py)
need prometheus-alertmanager prometheus-alertmanager    # webhooks, routing (the same)
need chromium chromium                             # drives the web page (tests/integration/test_web.py)
need dockerd docker.io                             # builds the images and runs them (tests/images)
need debootstrap debootstrap                       # the base image that they are built on (the same)
need ceph-mon ceph-mon                             # a real S3 server (tests/integration/test_versions_s3.py)
need ceph-osd ceph-osd                             # the same
need radosgw radosgw                               # the same
# Debian's own kubectl is too old for kustomize's components.
command -v kubectl >/dev/null 2>&1 || echo "note: NO MANIFEST will be tested (tests/manifests): kubectl 1.27 or newer is not here"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "note: tests will skip without:$missing (on Debian: sudo apt-get install --no-install-recommends$missing)"
    exit 0
fi
echo "installing for the tests:$missing"
log=$(mktemp)
if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "note: could not install:$missing; their tests will skip"
fi
rm -f "$log"
