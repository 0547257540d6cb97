# shellcheck shell=bash
# shellcheck disable=SC2034    # CARD_* are for the scripts that source this
# Smart cards for scripts (bash) to source, after realm.sh: SoftHSM2 tokens with
# certificates of the realm's CA (realm_pkinit) and their keys.
#
#   card_token LABEL        a token; sets CARD_PIN and CARD_PIN_FILE
#   card_put LABEL ID NAME KEYTYPE [EXTENSIONS [DATES]]
#                           a key pair and a certificate for the principal NAME;
#                           KEYTYPE rsa:2048 or EC:prime256v1; EXTENSIONS client,
#                           server (the wrong key purpose) or plain (no principal);
#                           DATES "FROM TO" as openssl ca wants them
#   card_uri LABEL [ATTRIBUTES]   a URI with module-path and pin-source
#
# All of them are in the token directory that SOFTHSM2_CONF names.

CARD_MODULE=
CARD_DIR=

card_conf() {	# card_conf NAME EXTENSIONS
	cat <<-END
		[req]
		prompt = no
		distinguished_name = subject
		[subject]
		CN = $1
		[ca]
		default_ca = authority
		[authority]
		dir = $CARD_DIR/ca
		database = $CARD_DIR/ca/index
		new_certs_dir = $CARD_DIR/ca
		rand_serial = yes
		default_md = sha256
		policy = anything
		default_days = 2
		unique_subject = no
		[anything]
		commonName = supplied
		[client]
		extendedKeyUsage = 1.3.6.1.5.2.3.4
		keyUsage = critical,digitalSignature
		subjectAltName = otherName:1.3.6.1.5.2.2;SEQUENCE:name
		[server]
		extendedKeyUsage = serverAuth
		subjectAltName = otherName:1.3.6.1.5.2.2;SEQUENCE:name
		[plain]
		extendedKeyUsage = 1.3.6.1.5.2.3.4
		[name]
		realm = EXPLICIT:0,GeneralString:$REALM
		principal = EXPLICIT:1,SEQUENCE:principal
		[principal]
		type = EXPLICIT:0,INTEGER:1
		parts = EXPLICIT:1,SEQUENCE:parts
		[parts]
		first = GeneralString:$1
	END
}

card_token() {
	CARD_DIR=$SCRATCH/cards
	CARD_MODULE=$(first_file /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
		/usr/lib64/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so) ||
		die "SoftHSM2 is not installed (package softhsm2)"
	mkdir -p "$CARD_DIR/ca"
	chmod 700 "$CARD_DIR"
	[ -e "$CARD_DIR/ca/index" ] || : >"$CARD_DIR/ca/index"
	CARD_PIN=pin-$1-$RANDOM
	CARD_PIN_FILE=$CARD_DIR/$1.pin
	token_pin "$CARD_PIN_FILE" "$CARD_PIN"
	softhsm2-util --init-token --free --label "$1" --so-pin "so-$CARD_PIN" --pin "$CARD_PIN" \
		>"$CARD_DIR/log" 2>&1 || die "softhsm2-util failed: $(tail -n 1 "$CARD_DIR/log")"
}

card_tool() {	# card_tool LABEL ARG...
	local label=$1

	shift
	pkcs11-tool --module "$CARD_MODULE" --token-label "$label" --login \
		--pin "$(cat "$CARD_DIR/$label.pin")" "$@"
}

card_put() {
	local label=$1 id=$2 name=$3 type=$4 extensions=${5:-client} dates=${6:-} at=$CARD_DIR/$1-$2

	card_conf "$name" >"$at.cnf"
	{
		case $type in
		EC:*) openssl ecparam -name "${type#EC:}" -genkey -noout -out "$at.key" ;;
		*) openssl genrsa -out "$at.key" "${type#rsa:}" ;;
		esac &&
			openssl req -config "$at.cnf" -new -key "$at.key" -out "$at.csr" &&
			openssl ca -batch -notext -config "$at.cnf" -cert "$REALM_PKINIT/ca.pem" \
				-keyfile "$REALM_PKINIT/ca.key" -in "$at.csr" -extensions "$extensions" \
				${dates:+-startdate "${dates% *}" -enddate "${dates#* }"} -out "$at.pem" &&
			openssl x509 -in "$at.pem" -outform DER -out "$at.der" &&
			openssl pkcs8 -topk8 -nocrypt -in "$at.key" -outform DER -out "$at.p8" &&
			card_tool "$label" --write-object "$at.p8" --type privkey --id "$id" --label "$name" \
				--usage-sign ${CARD_ALWAYS:+--always-auth} &&
			card_tool "$label" --write-object "$at.der" --type cert --id "$id" --label "$name"
	} >"$at.log" 2>&1 || die "a card cannot be made: $(tail -n 3 "$at.log")"
	rm -f "$at.p8"
}

card_uri() {
	echo "pkcs11:token=$1${2:+;$2}?module-path=${CARD_WAY:-$CARD_MODULE}&pin-source=file:$CARD_DIR/$1.pin"
}
