#!/usr/bin/env bash
# curl: the HTTP door, for shells, risk engines and languages without a client.
#
# How to run, with a server that is up (`barograph serve --sample --data my-data`):
#
#     bash ask.sh http://127.0.0.1:8765
#
# Needs curl alone. With keys, put the key into BAROGRAPH_KEY. All tools and fields: the server's /docs page.
set -euo pipefail
url="$1"
key=(${BAROGRAPH_KEY:+-H "Authorization: Bearer $BAROGRAPH_KEY"})

ask() { curl --silent --show-error --max-time 5 "${key[@]}" -H 'Content-Type: application/json' "$url/v1/tools/$1" -d "$2"; }

# For a model: an answer with its source, its age and its reasons.
ask get_market_regime '{"symbol": "SIMETH"}'
echo

# For a risk engine: trade only on a clear "do_not_trade":false on fresh data. No reply, an error, or anything else: do not.
verdict="$(ask forecast_volatility '{"symbol": "SIMETH", "use": "veto"}' || true)"
if [[ "$verdict" == *'"do_not_trade":false'* && "$verdict" == *'"stale":false'* ]]; then
    echo "may trade"
else
    echo "do not trade"
fi
