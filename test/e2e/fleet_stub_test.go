package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lodge/internal/database"
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
	// What the original had stored is taken over beside the server that runs.
	out := l.admin("import", "rmf", "--from", "sqlite://"+originalDatabase(t, l.workDir()))
	if out.code != 0 || !strings.Contains(out.stdout, "2 tasks") {
		t.Fatalf("%+v", out)
	}
	root, user := l.as(builtInToken("admin")), l.as(builtInToken("user"))
	root.get("/user").is(200, `{"username":"admin","is_admin":true,"roles":[]}`)
	user.get("/user").is(200, `{"username":"user","is_admin":false,"roles":[]}`)
	user.get("/admin/users").is(403)
	root.get("/admin/users").is(200, "admin", "user", "anna", "boss")
	root.get("/tasks/patrol.1/log?between=0,100").is(200, "begun")
	l.as(builtInToken("anna")).get("/tasks").is(200, "patrol.1")
	eventually(t, "fleets report", func() bool { return len(parse[[]fleetState](root.get("/fleets").is(200))) == 3 })
	board := root.dashboard("/socket.io")
	board.enters("/fleets/carriers/state")
	board.hears("/fleets/carriers/state", "carrier_1")
	if !strings.Contains(string(l.server.logs()), "whoever reaches this server can log in as its administrator") {
		t.Error("nobody is warned")
	}
}

// originalDatabase is a file of SQLite as the original leaves it.
func originalDatabase(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "fleet", "testdata", "original.sql"))
	noError(t, err)
	file := filepath.Join(dir, "db.sqlite3")
	db, err := database.Open(t.Context(), "sqlite:"+file, time.Now, slog.New(slog.DiscardHandler))
	noError(t, err)
	_, script, _ := strings.Cut(string(text), "wants it.\n")
	for statement := range strings.SplitSeq(strings.NewReplacer("[user]", `"user"`, "[role]", `"role"`, "SERIAL", "INTEGER PRIMARY KEY AUTOINCREMENT").Replace(script), ";\n") {
		if strings.TrimSpace(statement) != "" {
			_, err := db.Exec(t.Context(), statement)
			noError(t, err)
		}
	}
	noError(t, db.Close())
	return file
}
