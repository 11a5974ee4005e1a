#: prepare
bin() { perl -e 'local $/; $_ = <STDIN>; s/\s//g; print pack("H*", $_)'; }
hex() { od -A n -v -t x1 | tr -d ' \n'; }
unb64() { openssl base64 -d -A; }
sha() { openssl dgst -sha256 -r | cut -c 1-64; }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -r | cut -c 1-64; }
size() { wc -c < "$1" | tr -d ' '; }
DOC=$(ls document/*)
W=$(mktemp -d)
set -E
trap 'echo "ÉCHEC / FAILED: $BASH_COMMAND" | tee -a "$W/failed" >&2' ERR
for C in certificates/*.crt; do openssl x509 -inform DER -in "$C"; done > "$W/chain.pem"
for C in revocation/*.crl; do openssl crl -inform DER -in "$C"; done > "$W/crls.pem"
cat "$ROOTS" "$W/crls.pem" > "$W/anchors.pem"
#: pades
set -- $(grep -a -o '/ByteRange *\[[ 0-9]*\]' "$DOC" | tail -n 1 | tr -dc '0-9 ')
test "$1" -eq 0
test "$(( $3 + $4 ))" -eq "$(size "$DOC")"
{ head -c "$2" "$DOC"; tail -c "$4" "$DOC"; } > "$W/covered"
tail -c "+$(( $2 + 2 ))" "$DOC" | head -c "$(( $3 - $2 - 2 ))" | bin > "$W/contents"
set -- $(openssl asn1parse -inform DER -in "$W/contents" | head -n 1 | sed 's/.*hl=//; s/ l=/ /; s/cons.*//')
head -c "$(( $1 + $2 ))" "$W/contents" > "$W/seal"
#: cades
cp META-INF/signature001.p7s "$W/seal"
cp META-INF/ASiCManifest001.xml "$W/covered"
grep -q ">$(openssl dgst -sha256 -binary "$DOC" | openssl base64 -A)<" "$W/covered"
#: token
timestamp() {
  openssl asn1parse -inform DER -in "$1" > "$W/parts"
  AT=$(grep 'd=5 .*OCTET STRING' "$W/parts" | tail -n 1 | cut -d: -f1)
  openssl asn1parse -inform DER -in "$1" -strparse "$AT" -noout -out "$W/value" 2> "$W/ignored" || true
  AT=$(grep -A 2 'timeStampToken' "$W/parts" | tail -n 1 | cut -d: -f1)
  openssl asn1parse -inform DER -in "$1" -strparse "$AT" -noout -out "$W/token"
  openssl ts -reply -in "$W/token" -token_in -text > "$W/said"
  DATED=$(sed -n 's/^Time stamp: //p' "$W/said")
  WHEN=$(date -u -d "$DATED" +%s)
  openssl ts -verify -in "$W/token" -token_in -data "$W/value" -CAfile "$ROOTS" \
    -untrusted "$W/chain.pem" -attime "$WHEN"
}
timestamp "$W/seal"
echo "$DATED"
cp "$W/token" "$W/seal.token"
#: seal
sealed() {
  openssl cms -verify -binary -inform DER -in "$1" -content "$2" -certfile "$W/chain.pem" \
    -CAfile "$W/anchors.pem" -crl_check_all -purpose any -attime "$WHEN" \
    -signer "$W/signer.pem" -out /dev/null
  openssl x509 -in "$W/signer.pem" -noout -subject -issuer -dates -nameopt utf8,sep_comma_plus
}
sealed "$W/seal" "$W/covered"
openssl x509 -in "$W/signer.pem" -noout -text | grep -A 2 'Certificate Policies'
#: opening
part() {
  SALT=$(sed -n "s/.*\"$1\":{\"salt\":\"\([0-9a-f]*\)\",\"value\":{.*/\1/p" "$3")
  if [ -n "$SALT" ]; then
    sed "s/.*\"$1\":{\"salt\":\"[0-9a-f]*\",\"value\":\({.*}\)},\"$2.*/\1/" "$3" | tr -d '\n' | hmac "$SALT"
  else
    sed -n "s/.*\"$1\":{\"digest\":\"\([0-9a-f]*\)\"}.*/\1/p" "$3"
  fi
}
for O in ledger/entries/*.opening.json; do
  D=$(part document 'parties":{' "$O")
  P=$(part parties 'v":1}' "$O")
  C=$(part context 'document":{' "$O")
  COMMITMENT=$({ printf 'probans/opening/v1\n'; printf %s "$D$P$C" | bin; } | sha)
  grep -q "\"commitment\":\"$COMMITMENT\"" "${O%.opening.json}.json"
  echo "$O"
done
grep -l "\"sha256\":\"$(sha < "$DOC")\",\"size\":$(size "$DOC")}" ledger/entries/*.opening.json
SIGNATURE=$(sha < "$W/seal")
TOKEN=$(sha < "$W/seal.token")
CERTIFICATE=$(openssl x509 -in "$W/signer.pem" -outform DER | sha)
grep -l "\"signature\":\"$SIGNATURE\",\"token\":\"$TOKEN\"" ledger/entries/*.opening.json
grep -l "\"seal_certificate\":\"$CERTIFICATE\"" ledger/entries/*.opening.json
#: tags
KEY=$(sed 's/.*"status_key":"\([0-9a-f]*\)".*/\1/' evidence.json)
COUNT=0
for SEQ in $(ls ledger/entries | sed -n 's/^\([0-9]*\)\.json$/\1/p' | sort -n); do
  grep -q "\"tag\":\"$(printf %016x "$COUNT" | bin | hmac "$KEY")\"" "ledger/entries/$SEQ.json"
  COUNT=$(( COUNT + 1 ))
done
printf %016x "$COUNT" | bin | hmac "$KEY"
#: tree
node() { { printf '\001'; printf %s "$1$2" | bin; } | sha; }
climb() {
  FN=$1; SN=$(( $2 - 1 )); HASH=$3; shift 3
  for SIBLING in "$@"; do
    test "$SN" -ne 0
    if [ $(( FN % 2 )) -eq 1 ] || [ "$FN" -eq "$SN" ]; then
      HASH=$(node "$SIBLING" "$HASH")
      while [ $(( FN % 2 )) -eq 0 ] && [ "$FN" -ne 0 ]; do FN=$(( FN / 2 )); SN=$(( SN / 2 )); done
    else
      HASH=$(node "$HASH" "$SIBLING")
    fi
    FN=$(( FN / 2 )); SN=$(( SN / 2 ))
  done
  test "$SN" -eq 0
  echo "$HASH"
}
for R in ledger/entries/*.tlog-proof; do
  SEQ=$(basename "$R" .tlog-proof)
  test "$(sed -n 's/^index //p' "$R")" = "$SEQ"
  LEAF=$({ printf '\000'; cat "ledger/entries/$SEQ.json"; } | sha)
  PATH_UP=$(sed -n '3,/^$/p' "$R" | grep . | while read -r B; do printf %s "$B" | unb64 | hex; echo; done)
  sed '1,/^$/d' "$R" > "$W/$SEQ.note"
  TREE=$(sed -n 2p "$W/$SEQ.note")
  ROOT=$(sed -n 3p "$W/$SEQ.note" | unb64 | hex)
  test "$(climb "$SEQ" "$TREE" "$LEAF" $PATH_UP)" = "$ROOT"
  echo "$SEQ / $TREE"
done
#: log
ed25519() {
  grep -F "$1+" "$VKEYS" | while read -r K; do
    if [ "$(printf %s "${K#*+*+}" | unb64 | head -c 1 | hex)" = 01 ]; then
      { printf 302a300506032b6570032100 | bin; printf %s "${K#*+*+}" | unb64 | tail -c 32; }
    fi
  done
}
for NOTE in "$W"/*.note; do
  ORIGIN=$(head -n 1 "$NOTE")
  sed '/^$/,$d' "$NOTE" > "$W/text"
  ed25519 "$ORIGIN" | openssl pkey -pubin -inform DER -out "$W/log.pem"
  VALID=
  for LINE in $(grep -F "— $ORIGIN " "$NOTE" | cut -d ' ' -f 3); do
    printf %s "$LINE" | unb64 | tail -c +5 > "$W/signature"
    if [ "$(size "$W/signature")" -eq 64 ]; then
      openssl pkeyutl -verify -pubin -inkey "$W/log.pem" -rawin -in "$W/text" -sigfile "$W/signature"
      VALID=yes
    fi
  done
  test "$VALID" = yes
done
#: evidence
M=META-INF/ASiCManifest002.xml
S=META-INF/signature002.p7s
if [ -f "$S" ]; then
  find . -type f ! -path ./mimetype ! -path "./$M" ! -path "./$S" > "$W/files"
  test "$(grep -c . "$W/files")" -eq "$(grep -c '<asic:DataObjectReference ' "$M")"
  while read -r F; do
    grep -q ">$(openssl dgst -sha256 -binary "$F" | openssl base64 -A)<" "$M"
  done < "$W/files"
  timestamp "$S"
  sealed "$S" "$M"
  echo "$DATED"
fi
#: anchor
A=ledger/anchor
if [ -f "$A" ]; then
  test "$(head -n 1 "$A")" = probans/anchor/v1
  sed '1d; /^previous[a-z-]* [0-9a-f]*$/d' "$A" | head -n 3 > "$W/anchored"
  for NOTE in "$W"/*.note; do
    test "$(sed '/^$/,$d' "$NOTE")" = "$(cat "$W/anchored")"
  done
  openssl ts -reply -in "$A.tst" -token_in -text > "$W/said"
  DATED=$(sed -n 's/^Time stamp: //p' "$W/said")
  WHEN=$(date -u -d "$DATED" +%s)
  openssl ts -verify -in "$A.tst" -token_in -data "$A" -CAfile "$ROOTS" -untrusted "$W/chain.pem" \
    -attime "$WHEN"
  echo "$DATED"
fi
#: result
trap - ERR
RESULT='TOUT EST EN ORDRE / ALL IS WELL'
if [ -e "$W/failed" ]; then RESULT='ÉCHEC / FAILED'; fi
rm -r "$W"
echo "$RESULT"
test "$RESULT" != 'ÉCHEC / FAILED'
