package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // registers pgx
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lodge/internal/drivertest/services"
)

// keycloak is a provider of which the service knows nothing but where its keys are.
type keycloak struct {
	url string
	key *rsa.PrivateKey
}

var providerKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func startKeycloak(t testing.TB) *keycloak {
	t.Helper()
	key, err := providerKey()
	noError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "a-thumbprint", Use: "sig"}}})
	noError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/realms/flame/protocol/openid-connect/certs" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set) // a client that went away
	}))
	t.Cleanup(server.Close)
	return &keycloak{server.URL + "/realms/flame/protocol/openid-connect/certs", key}
}

// sign makes a token as the suite of the original does: RS256, without a key id.
func (k *keycloak) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	for name, value := range all {
		if value == nil {
			delete(all, name)
		}
	}
	payload, err := json.Marshal(all)
	noError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.key}, nil)
	noError(t, err)
	signed, err := signer.Sign(payload)
	noError(t, err)
	token, err := signed.CompactSerialize()
	noError(t, err)
	return token
}

// nodeStore is where the original of a node kept everything.
type nodeStore struct {
	database *url.URL
	bucket   services.Bucket
}

func newNodeStore(t testing.TB) nodeStore {
	t.Helper()
	u, err := url.Parse(services.Postgres(t))
	noError(t, err)
	return nodeStore{u, services.S3(t)}
}

func (n nodeStore) password() string {
	password, _ := n.database.User.Password()
	return password
}

// today is the environment of the original in its last release.
func (n nodeStore) today(t testing.TB, h *hub, k *keycloak, keyFile string) []string {
	return []string{
		"HUB__CORE_BASE_URL=" + h.url() + "/core", "HUB__STORAGE_BASE_URL=" + h.url() + "/storage", "HUB__AUTH_BASE_URL=" + h.url() + "/auth",
		"HUB__AUTH__FLOW=robot", "HUB__AUTH__ID=" + uuid.NewString(), "HUB__AUTH__SECRET=start123",
		"MINIO__ENDPOINT=" + n.bucket.Endpoint, "MINIO__ACCESS_KEY=" + n.bucket.AccessKey, "MINIO__SECRET_KEY=" + n.bucket.SecretKey,
		"MINIO__BUCKET=" + n.bucket.Name, "MINIO__REGION=" + n.bucket.Region, "MINIO__USE_SSL=0",
		"POSTGRES__HOST=" + n.database.Hostname(), "POSTGRES__PORT=" + n.database.Port(), "POSTGRES__USER=" + n.database.User.Username(),
		"POSTGRES__PASSWORD=" + n.password(), "POSTGRES__DB=" + strings.TrimPrefix(n.database.Path, "/"),
		"OIDC__CERTS_URL=" + k.url, "OIDC__SKIP_JWT_VALIDATION=0",
		"CRYPTO__PROVIDER=file", "CRYPTO__ECDH_PRIVATE_KEY_PATH=" + fixture(t, keyFile),
		"UVICORN_LOG_LEVEL=debug", "HUB_ADAPTER_CLIENT_ID=the-adapter",
	}
}

// otherYears is the same in the spellings of earlier and of later releases.
func (n nodeStore) otherYears(t testing.TB, h *hub, k *keycloak, keyFile string) []string {
	key, err := os.ReadFile(fixture(t, keyFile))
	noError(t, err)
	return []string{
		"HUB__API_BASE_URL=http://long.gone", "HUB__CORE_BASE_URL=" + h.url() + "/core", "HUB__STORAGE_BASE_URL=" + h.url() + "/storage", "HUB__AUTH_BASE_URL=" + h.url() + "/auth",
		"HUB__AUTH_METHOD=robot", "HUB__ROBOT_AUTH__ID=" + uuid.NewString(), "HUB__ROBOT_AUTH__SECRET=start123",
		"S3__ENDPOINT=" + n.bucket.Endpoint, "S3__ACCESS_KEY=" + n.bucket.AccessKey, "S3__SECRET_KEY=" + n.bucket.SecretKey,
		"S3__BUCKET=" + n.bucket.Name, "S3__REGION=" + n.bucket.Region, "S3__USE_SSL=false",
		"POSTGRES__HOST=" + n.database.Hostname(), "POSTGRES__PORT=" + n.database.Port(), "postgres__user=" + n.database.User.Username(),
		"POSTGRES__PASSWORD=" + n.password(), "POSTGRES__DB=" + strings.TrimPrefix(n.database.Path, "/"), "POSTGRES__MAX_CONNECTIONS=10",
		"OIDC__CERTS_URL=" + k.url, "OIDC__CLIENT_ID_CLAIM_NAME=azp",
		// One line with \n in it, as it stands in an .env file.
		"CRYPTO__PROVIDER=raw", "CRYPTO__ECDH_PRIVATE_KEY=" + strings.ReplaceAll(strings.TrimSpace(string(key)), "\n", `\n`), "CRYPTO__ECDH_PUBLIC_KEY=unused",
		"CHUNK_SIZE=1048576",
	}
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../internal/results/testdata", name))
	noError(t, err)
	return path
}

// dropIn is a Lodge in the place of the original.
func dropIn(t testing.TB, environment []string) *lodge {
	t.Helper()
	l := newLodge(t, serving("results"))
	l.env = append(l.env, environment...)
	l.start()
	return l
}

// TestDropIn puts Lodge where two nodes had the original, with nothing but the original's variables,
// over what the original had stored.
func TestDropIn(t *testing.T) {
	t.Parallel()
	h, k := startHub(t), startKeycloak(t)
	store := newNodeStore(t)
	id := uuid.NewString()
	older := storeAsTheOriginal(t, store, id, h.projectOf(id))
	north := dropIn(t, store.today(t, h, k, "p384_a.pem"))
	south := dropIn(t, newNodeStore(t).otherYears(t, h, k, "p384_b.pem"))
	atNorth, atSouth := north.as(k.sign(t, map[string]any{"client_id": id})), south.as(k.sign(t, map[string]any{"azp": id}))

	north.nobody().get("/healthz").is(200)
	equal(t, "/healthz", north.nobody().get("/healthz").body, `{"status":"ok"}`)
	north.nobody().get("/openapi.json").is(200, "putFinalResultWithLocalDP", "FLAME Node Result Service")
	north.nobody().get("/docs").is(200)
	refusals(t, north, k)

	// What the original stored is there, and stays.
	atNorth.get("/local/"+older.untagged).is(200, "stored without a tag")
	equal(t, "tags", atNorth.get("/local/tags").is(200).body, `{"tags":[{"name":"older","url":"`+north.url()+`/local/tags/older"}]}`)
	equal(t, "tagged", atNorth.get("/local/tags/older").is(200).body, `{"results":[{"filename":"old.txt","url":"`+north.url()+`/local/`+older.tagged+`"}]}`)
	atNorth.get("/local/"+older.tagged).is(200, "stored with a tag")

	localResults(t, atNorth, store, h, id)
	betweenNodes(t, h, atNorth, atSouth)

	atNorth.put("/final/", bytesFile("../x/model.bin", []byte("final"))).is(204)
	atNorth.put("/final/localdp", bytesFile("count", []byte("42")), "epsilon", "1.0", "sensitivity", "0.5").is(204)
	finals := slicesOf(h.received(id), "RESULT")
	equal(t, "final results at the hub", len(finals), 2)
	finals[0].once(t, shaOf("final"))
	if finals[1].SHA256 == shaOf("42") {
		t.Error("a result with local differential privacy went out as it was")
	}
	// The adapter deletes what belongs to a project that the hub no longer has.
	adapter := north.as(k.sign(t, map[string]any{"client_id": "the-adapter"}))
	project := h.projectOf(id)
	adapter.send("DELETE", "/local?project_id="+project, map[string]any{}).is(400, "Project '"+project+"' will not be deleted because it is still available on the Hub.")
	atNorth.send("DELETE", "/local?project_id="+project, nil).is(403, "Only the Hub Adapter client is allowed to delete local results, got client ID '"+id+"'.")
	h.call(http.MethodDelete, "/core/projects/"+project, h.login(), nil, nil)
	equal(t, "deleted", adapter.send("DELETE", "/local?project_id="+project, map[string]any{}).is(200).body, "null")
	equal(t, "rows of the original's tables", tagRows(t, store), 0)
	equal(t, "objects of the project", len(bucketKeys(t, store, "local/"+project+"/")), 0)
}

// refusals are what the original says to those whom it does not know, at every route.
func refusals(t *testing.T, l *lodge, k *keycloak) {
	id := uuid.NewString()
	expired := map[string]any{"client_id": id, "iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()}
	basic := l.nobody()
	basic.head = http.Header{"Authorization": {"Basic dTpw"}}
	for _, route := range []string{
		"PUT /final", "PUT /final/", "PUT /final/localdp", "PUT /intermediate", "PUT /intermediate/", "GET /intermediate/" + id,
		"PUT /local", "PUT /local/", "GET /local/" + id, "GET /local/tags", "GET /local/tags/x", "DELETE /local/",
	} {
		method, path, _ := strings.Cut(route, " ")
		for who, one := range map[string]struct {
			caller caller
			detail string
		}{
			"nobody":                      {l.nobody(), "Not authenticated"},
			"with another scheme":         {basic, "Invalid authentication credentials"},
			"with a token of last hour":   {l.as(k.sign(t, expired)), "JWT is malformed"},
			"with a token without its id": {l.as(k.sign(t, map[string]any{"sub": "x"})), "JWT is malformed"},
			"with rubbish":                {l.as("not.a.token"), "JWT is malformed"},
		} {
			a := one.caller.send(method, path, nil)
			if a.status != 403 || a.body != `{"detail":"`+one.detail+`"}` {
				t.Errorf("%s %s: %d %s", route, who, a.status, a.body)
			}
		}
	}
	l.nobody().get("/nowhere").is(404, `{"detail":"Not Found"}`)
	l.nobody().send("POST", "/final", nil).is(405, `{"detail":"Method Not Allowed"}`)
}

// localResults is the life of a local result, and where it lies.
func localResults(t *testing.T, analysis caller, store nodeStore, h *hub, id string) {
	f := randomFile("up.bin", 21, 1<<20+1)
	object := parse[stored](analysis.put("/local/", f, "tag", "new-one").is(200))
	equal(t, "its address", object.URL, analysis.url()+"/local/"+object.ObjectID)
	equal(t, "SHA-256", shaOf(analysis.get("/local/"+object.ObjectID).is(200).body), f.sha256())
	equal(t, "objects in the original's place", len(bucketKeys(t, store, "local/"+h.projectOf(id)+"/"+object.ObjectID)), 1)
	equal(t, "rows of the original's tables", tagRows(t, store), 2)
	analysis.put("/local", f, "tag", "-no-").is(400, "{\"detail\":\"Invalid tag `-no-`\"}")
	analysis.send("PUT", "/local", nil).is(422, `"loc":["body","file"]`, "Field required")
	analysis.get("/local/no-uuid").is(422, `"type":"uuid_parsing"`)
	missing := uuid.NewString()
	analysis.get("/local/"+missing).is(404, `{"detail":"Object with ID `+missing+` does not exist"}`)
}

// betweenNodes passes an intermediate result from the one node to the other, encrypted.
func betweenNodes(t *testing.T, h *hub, north, south caller) {
	northID, southID, mute := uuid.NewString(), uuid.NewString(), uuid.NewString()
	for id, key := range map[string]string{northID: "p384_a.pub.hex", southID: "p384_b.pub.hex"} {
		text, err := os.ReadFile(fixture(t, key))
		noError(t, err)
		pem, err := hex.DecodeString(strings.TrimSpace(string(text)))
		noError(t, err)
		h.addNode(id, string(pem))
	}
	h.call(http.MethodPost, "/core/nodes", h.login(), map[string]any{"id": mute, "name": "mute"}, nil)

	// Far beyond the 996 bytes up to which the original could read its own files.
	weights := randomFile("weights.bin", 77, 2_500_000)
	object := parse[stored](north.put("/intermediate", weights, "remote_node_id", southID).is(200)).ObjectID
	for _, query := range []string{"node_id", "remote_node_id"} {
		got := south.get("/intermediate/" + object + "?" + query + "=" + northID).is(200).body
		equal(t, "SHA-256 at the other node", shaOf(got), weights.sha256())
	}
	sealed := south.get("/intermediate/" + object).is(200).body
	equal(t, "bytes at the hub", len(sealed), 2_500_000+28)
	south.get("/intermediate/"+object+"?node_id="+southID).is(400, "cannot be decrypted under the assumption")
	north.put("/intermediate/", weights, "remote_node_id", mute).is(400, "Remote node with ID "+mute+" does not provide a public key")
	nowhere := uuid.NewString()
	north.put("/intermediate/", weights, "remote_node_id", nowhere).is(404, "Remote node with ID "+nowhere+" does not exist.")

	plain := parse[stored](north.put("/intermediate/", bytesFile("m", []byte("for all"))).is(200)).ObjectID
	equal(t, "unencrypted", south.get("/intermediate/"+plain).is(200).body, "for all")
}

// olderResults are the ids of what the original stored.
type olderResults struct{ untagged, tagged string }

// storeAsTheOriginal makes the tables and objects of the original's last release.
func storeAsTheOriginal(t *testing.T, n nodeStore, analysis, project string) olderResults {
	t.Helper()
	ids := olderResults{uuid.NewString(), uuid.NewString()}
	db, err := sql.Open("pgx", n.database.String())
	noError(t, err)
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		`CREATE TABLE tag (id SERIAL NOT NULL PRIMARY KEY, tag_name VARCHAR(255) NOT NULL, project_id VARCHAR(255) NOT NULL)`,
		`CREATE UNIQUE INDEX tag_tag_name_project_id ON tag (tag_name, project_id)`,
		`CREATE TABLE result (id SERIAL NOT NULL PRIMARY KEY, client_id VARCHAR(255) NOT NULL, object_id UUID NOT NULL, filename VARCHAR(255) NOT NULL)`,
		`CREATE UNIQUE INDEX result_client_id_object_id ON result (client_id, object_id)`,
		`CREATE TABLE taggedresult (id SERIAL NOT NULL PRIMARY KEY, tag_id INTEGER NOT NULL, result_id INTEGER NOT NULL,
			CONSTRAINT taggedresult_tag_id_fkey FOREIGN KEY (tag_id) REFERENCES tag (id) ON DELETE CASCADE,
			CONSTRAINT taggedresult_result_id_fkey FOREIGN KEY (result_id) REFERENCES result (id) ON DELETE CASCADE)`,
		`CREATE INDEX taggedresult_tag_id ON taggedresult (tag_id)`,
		`CREATE INDEX taggedresult_result_id ON taggedresult (result_id)`,
		`INSERT INTO tag (tag_name, project_id) VALUES ('older', '` + project + `')`,
		`INSERT INTO result (client_id, object_id, filename) VALUES ('` + analysis + `', '` + ids.tagged + `', 'old.txt')`,
		`INSERT INTO taggedresult (tag_id, result_id) VALUES (1, 1)`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		noError(t, err)
	}
	for id, content := range map[string]string{ids.untagged: "stored without a tag", ids.tagged: "stored with a tag"} {
		_, err := s3Of(t, n).PutObject(t.Context(), n.bucket.Name, "local/"+project+"/"+id, strings.NewReader(content), int64(len(content)),
			minio.PutObjectOptions{ContentType: "text/plain"})
		noError(t, err)
	}
	return ids
}

func s3Of(t testing.TB, n nodeStore) *minio.Client {
	t.Helper()
	client, err := minio.New(n.bucket.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(n.bucket.AccessKey, n.bucket.SecretKey, ""), Region: n.bucket.Region, BucketLookup: minio.BucketLookupPath,
	})
	noError(t, err)
	return client
}

func bucketKeys(t testing.TB, n nodeStore, prefix string) (keys []string) {
	t.Helper()
	for object := range s3Of(t, n).ListObjects(t.Context(), n.bucket.Name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		noError(t, object.Err)
		keys = append(keys, object.Key)
	}
	return keys
}

// tagRows counts the rows of the original's tables that go together.
func tagRows(t testing.TB, n nodeStore) (rows int) {
	t.Helper()
	db, err := sql.Open("pgx", n.database.String())
	noError(t, err)
	defer func() { _ = db.Close() }()
	noError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM result r JOIN taggedresult tr ON tr.result_id = r.id JOIN tag ON tag.id = tr.tag_id`).Scan(&rows))
	return rows
}

func slicesOf(files []received, bucket string) (list []received) {
	for _, f := range files {
		if f.Bucket == bucket {
			list = append(list, f)
		}
	}
	return list
}
