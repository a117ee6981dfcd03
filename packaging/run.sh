#!/bin/sh
# `make run`: webhookd in the foreground on webhookd.conf.example, with its paths moved under var/.
set -eu
build=${1:-build}
root=$(pwd)
mkdir -p var/store var/outbox var/etc
chmod 700 var/etc
sed -e "s|/var/lib/webhookd|$root/var/store|g" -e "s|/etc/webhookd|$root/var/etc|g" \
    -e "s|/run/webhookd|$root/var|g" -e "s|/var/lib/trading|$root/var/outbox|g" \
    webhookd.conf.example > var/webhookd.conf
cat <<TEXT
webhookd runs on var/webhookd.conf (webhookd.conf.example with its paths under var/). Stop it with Ctrl-C. In another terminal, here:
  export PATH=$(cd "$build" && pwd):\$PATH WEBHOOKD_CONFIG=$root/var/webhookd.conf
  webhookctl subscription add --name me --url https://partner.example/hook --events 'order.*'
  sqlite3 var/outbox/trades.db "INSERT INTO outbox(type, payload) VALUES ('order.executed', '{}')"
  webhookctl delivery list
TEXT
exec "$build/webhookd" -c var/webhookd.conf
