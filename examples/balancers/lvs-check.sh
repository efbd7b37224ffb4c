#!/bin/sh
# keepalived's check of one server, which respects that lvs.sh holds it out:
#
#   MISC_CHECK {
#     misc_path "/usr/local/lib/rollgate/lvs-check.sh 10.0.0.1:80 10.0.4.1:8080 http://10.0.4.1:8080/health/ready"
#     misc_dynamic
#   }
#
# With misc_dynamic 0 leaves the weight as configured, 1 is a failed check, and 2 to 255 set the weight to that less two: so 2 is
# weight 0, no new connections, and those that are there go on.
set -u

[ -e "${LVS_HOLD:-/run/rollgate-lvs}/$1,$2" ] && exit 2
curl -fsS -o /dev/null --max-time "${LVS_CHECK_TIMEOUT:-2}" "$3" || exit 1
