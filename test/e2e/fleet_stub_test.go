package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rmfDefaults is the original's default configuration, made JSON; a test has another port each time.
const rmfDefaults = `{"host": "127.0.0.1", "port": 8000, "db_url": "sqlite://:memory:", "public_url": null, "cache_directory": "run/cache",
"log_level": "WARNING", "builtin_admin": "admin", "jwt_public_key": null, "jwt_secret": "rmfisawesome", "oidc_url": null, "aud": "rmf_api_server", "iss": "stub",
"ros_args": [], "timezone": "UTC"}`

// builtInToken is a token that the stock dashboard has built in, signed by the secret that everybody knows.
func builtInToken(name string) string {
	text := base64.RawURLEncoding.EncodeToString
	token := text([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		text([]byte(`{"sub":"stub","preferred_username":"`+name+`","iat":1516239022,"aud":"rmf_api_server","iss":"stub","exp":2051222400}`))
	mac := hmac.New(sha256.New, []byte("rmfisawesome"))
	mac.Write([]byte(token))
	return token + "." + text(mac.Sum(nil))
}

// TestFleetStub begins with the original's default configuration, and the stock dashboard's two tokens.
func TestFleetStub(t *testing.T) {
	t.Parallel()
	l := newLodge(t, simulated, serving("fleet"))
	file := filepath.Join(l.workDir(), "rmf.json")
	noError(t, os.WriteFile(file, []byte(rmfDefaults), 0o600))
	l.env = append(l.env, "RMF_API_SERVER_CONFIG="+file)
	l.start()
	root, user := l.as(builtInToken("admin")), l.as(builtInToken("user"))
	root.get("/user").is(200, `{"username":"admin","is_admin":true,"roles":[]}`)
	user.get("/user").is(200, `{"username":"user","is_admin":false,"roles":[]}`)
	user.get("/admin/users").is(403)
	root.get("/admin/users").is(200, "admin", "user")
	eventually(t, "fleets report", func() bool { return len(parse[[]fleetState](root.get("/fleets").is(200))) == 2 })
	board := root.dashboard("/socket.io")
	board.enters("/fleets/carriers/state")
	board.hears("/fleets/carriers/state", "carrier_1")
	if !strings.Contains(string(l.server.logs()), "whoever reaches this server can log in as its administrator") {
		t.Error("nobody is warned")
	}
}
