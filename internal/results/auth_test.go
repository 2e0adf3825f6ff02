package results

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// routesOfTheOriginal are those whose callers must be known.
var routesOfTheOriginal = []struct{ method, path string }{
	{"PUT", "/final"},
	{"PUT", "/final/localdp"},
	{"PUT", "/intermediate"},
	{"GET", "/intermediate/0d6bd0b6-3d7d-4d5e-8e4c-1f2a3b4c5d6e"},
	{"PUT", "/local"},
	{"GET", "/local/0d6bd0b6-3d7d-4d5e-8e4c-1f2a3b4c5d6e"},
	{"GET", "/local/tags"},
	{"GET", "/local/tags/x"},
	{"DELETE", "/local?project_id=0d6bd0b6-3d7d-4d5e-8e4c-1f2a3b4c5d6e"},
}

// TestCredentials is section 2 of the contract, for every route and both spellings of its path.
func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	now := time.Now()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	noError(t, err)
	token := func(c claims) string { return "Bearer " + sign(t, jose.RS256, testRSA(), c) }
	id := uuid.NewString()
	good := sign(t, jose.RS256, testRSA(), claims{"client_id": id})
	parts := strings.Split(good, ".")

	for name, test := range map[string]struct{ auth, detail string }{
		"no header":         {"", "Not authenticated"},
		"scheme alone":      {"Bearer", "Not authenticated"},
		"scheme and space":  {"Bearer ", "Not authenticated"},
		"token alone":       {good, "Not authenticated"},
		"other scheme":      {"Basic YWxhZGRpbjpvcGVu", "Invalid authentication credentials"},
		"garbage":           {"Bearer garbage", "JWT is malformed"},
		"three garbages":    {"Bearer a.b.c", "JWT is malformed"},
		"expired":           {token(claims{"client_id": id, "exp": now.Add(-time.Hour).Unix()}), "JWT is malformed"},
		"expired by 65 s":   {token(claims{"client_id": id, "exp": now.Add(-65 * time.Second).Unix()}), "JWT is malformed"},
		"no exp":            {token(claims{"client_id": id, "exp": nil}), "JWT is malformed"},
		"no iat":            {token(claims{"client_id": id, "iat": nil}), "JWT is malformed"},
		"no client id":      {token(claims{"sub": "somebody"}), "JWT is malformed"},
		"client id number":  {token(claims{"client_id": 7}), "JWT is malformed"},
		"client id list":    {token(claims{"client_id": []string{id}}), "JWT is malformed"},
		"issued tomorrow":   {token(claims{"client_id": id, "iat": now.Add(24 * time.Hour).Unix()}), "JWT is malformed"},
		"not before":        {token(claims{"client_id": id, "nbf": now.Add(time.Hour).Unix()}), "JWT is malformed"},
		"another key":       {"Bearer " + sign(t, jose.RS256, other, claims{"client_id": id}), "JWT is malformed"},
		"RS512":             {"Bearer " + sign(t, jose.RS512, testRSA(), claims{"client_id": id}), "JWT is malformed"},
		"PS256":             {"Bearer " + sign(t, jose.PS256, testRSA(), claims{"client_id": id}), "JWT is malformed"},
		"HS256":             {"Bearer " + sign(t, jose.HS256, make([]byte, 32), claims{"client_id": id}), "JWT is malformed"},
		"no algorithm":      {"Bearer eyJhbGciOiJub25lIn0." + parts[1] + ".", "JWT is malformed"},
		"signature cut off": {"Bearer " + parts[0] + "." + parts[1] + ".", "JWT is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range routesOfTheOriginal {
				path, query, _ := strings.Cut(r.path, "?")
				for _, spelling := range []string{path, path + "/"} {
					s.do(r.method, spelling+"?"+query, test.auth, nil, nil).is(t, http.StatusForbidden, test.detail)
				}
			}
		})
	}
	for name, auth := range map[string]string{
		"plain":         "Bearer " + good,
		"lower case":    "bearer " + good,
		"many spaces":   "BEARER    " + good,
		"fraction":      token(claims{"client_id": id, "exp": float64(now.Unix()) + 3600.5}),
		"aud, iss, azp": token(claims{"client_id": id, "aud": "x", "iss": "y", "azp": "z"}),
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			t.Parallel()
			s.get("/local/tags", auth).is(t, http.StatusOK, `{"tags":[]}`)
		})
	}
	// The leeway, by tokens made just now: on a busy machine those above are older.
	s.get("/local/tags", token(claims{"client_id": id, "exp": time.Now().Add(-30 * time.Second).Unix()})).is(t, http.StatusOK, `{"tags":[]}`)
	s.get("/local/tags", token(claims{"client_id": id, "nbf": time.Now().Add(30 * time.Second).Unix()})).is(t, http.StatusOK, `{"tags":[]}`)
	s.get("/local/tags", token(claims{"client_id": id, "nbf": time.Now().Add(90 * time.Second).Unix()})).is(t, http.StatusForbidden, "JWT is malformed")
	// 403 goes before 422.
	s.get("/local/x", token(claims{"sub": "somebody"})).is(t, http.StatusForbidden, "JWT is malformed")
	s.get("/local/x", "").is(t, http.StatusForbidden, "Not authenticated")
	s.do(http.MethodDelete, "/local", "", nil, nil).is(t, http.StatusForbidden, "Not authenticated")
}

func TestSuccessorsStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t, withConfig(func(c *Config) { c.UnauthenticatedStatus = http.StatusUnauthorized }))
	a := s.get("/local/tags", "").is(t, http.StatusUnauthorized, "Not authenticated")
	equal(t, a.Header.Get("WWW-Authenticate"), "Bearer")
	s.get("/local/tags", "Basic x").is(t, http.StatusUnauthorized, "Invalid authentication credentials")
	s.get("/local/tags", "Bearer x").is(t, http.StatusForbidden, "JWT is malformed")
}

func TestProviderAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.provider = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	})
	s.get("/local/tags", analysis(t, uuid.NewString())).is(t, http.StatusBadGateway, "Auth provider is unavailable")
	s.get("/healthz", "").is(t, http.StatusOK, `{"status":"ok"}`)
}

// TestClientIDs are those that a token may carry and the hub cannot know (section 2, W28).
func TestClientIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{"", "hub-adapter", "../../projects", "x"} {
		auth := analysis(t, id)
		unknown := "Analysis with ID " + id + " not found"
		s.get("/local/tags", auth).is(t, http.StatusNotFound, unknown)
		s.get("/local/tags/x", auth).is(t, http.StatusNotFound, unknown)
		s.get("/local/"+uuid.NewString(), auth).is(t, http.StatusNotFound, unknown)
		s.put("/local", auth, file("a", "1")).is(t, http.StatusNotFound, unknown)
		s.put("/final", auth, file("a", "1")).is(t, http.StatusNotFound, "Result bucket for analysis with ID "+id+" was not found")
		s.put("/intermediate", auth, file("a", "1")).is(t, http.StatusNotFound, "Temp bucket for analysis with ID "+id+" was not found")
	}
	equal(t, len(s.keys("")), 0)
}

// TestPeople act by permission on the project that they name, and on no other.
func TestPeople(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := uuid.NewString(), uuid.NewString()
	mine, other := s.projectOf(first), s.projectOf(second)
	id := parse[LocalUploadResponse](t, s.put("/local", analysis(t, first), file("a.txt", "one"), text("tag", "x")).is(t, 200, "")).ObjectID
	foreign := parse[LocalUploadResponse](t, s.put("/local", analysis(t, second), file("b.txt", "two"), text("tag", "x")).is(t, 200, "")).ObjectID
	s.permit("reader", "results.read", mine)
	s.permit("writer", "results.write", mine)
	s.permit("writer", "results.read", mine)

	reader := person(t, "ada", "reader")
	s.get("/local/"+id, reader).is(t, 200, "one")
	s.get("/local/"+foreign, reader).is(t, 404, "Object with ID "+foreign+" does not exist")
	s.get("/local/tags?project_id="+mine, reader).is(t, 200, "")
	s.get("/local/tags?project_id="+other, reader).is(t, 403, "")
	s.get("/local/tags", reader).is(t, 422, "")
	s.put("/local?project_id="+mine, reader, file("c", "3")).is(t, 403, "")
	s.do("DELETE", "/files/"+id, reader, nil, nil).is(t, 403, "")

	writer := person(t, "bob", "writer")
	added := parse[LocalUploadResponse](t, s.put("/local?project_id="+mine, writer, file("c.txt", "three")).is(t, 200, ""))
	s.get("/local/"+added.ObjectID, analysis(t, first)).is(t, 200, "three")
	s.put("/local?project_id="+other, writer, file("c", "3")).is(t, 403, "")
	s.put("/final?analysis_id="+first, writer, file("c", "3")).is(t, 204, "")
	s.put("/final?analysis_id="+second, writer, file("c", "3")).is(t, 403, "")

	// Nobody sees in a list what they may not read.
	files := parse[httpPage[FileInfo]](t, s.get("/files", reader).is(t, 200, ""))
	equal(t, files.Total, 2)
	for _, f := range files.Items {
		equal(t, f.ProjectID, mine)
	}
	equal(t, parse[httpPage[FileInfo]](t, s.get("/files?project="+other, reader)).Total, 0)
	equal(t, parse[httpPage[ProjectInfo]](t, s.get("/projects", reader)).Total, 1)

	// Sessions and the header are people too; without any permission the answer names it.
	a := s.get("/files", "userid: carol").is(t, 403, "")
	if !strings.Contains(a.body, "results.read") {
		t.Errorf("the refusal does not name the permission: %s", a.body)
	}
}

type httpPage[T any] struct {
	Items []T
	Total int64
}
