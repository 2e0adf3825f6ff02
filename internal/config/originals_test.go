package config

import (
	"strings"
	"testing"
)

// What the charts of the replaced service set, in its own spelling, and in later and older ones.
func TestOriginalVariables(t *testing.T) {
	t.Parallel()
	current := []string{
		"HUB__AUTH__FLOW=robot", "HUB__AUTH__ID=r1", "HUB__AUTH__SECRET=s1",
		"MINIO__ENDPOINT=minio:9000", "MINIO__ACCESS_KEY=admin", "MINIO__SECRET_KEY=s3cr3t", "MINIO__BUCKET=flame", "MINIO__USE_SSL=0",
		"OIDC__CERTS_URL=http://keycloak:8080/realms/flame/protocol/openid-connect/certs", "OIDC__CLIENT_ID_CLAIM_NAME=azp", "OIDC__SKIP_JWT_VALIDATION=0",
		"POSTGRES__HOST=db", "POSTGRES__USER=u", "POSTGRES__PASSWORD=p@/ss", "POSTGRES__DB=flame",
		"CRYPTO__PROVIDER=raw", `CRYPTO__ECDH_PRIVATE_KEY=-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----`,
		"UVICORN_LOG_LEVEL=debug", "TZ=UTC",
	}
	for _, c := range []struct {
		name    string
		environ []string
		notices []string
	}{
		{"as it is", current, nil},
		{"in any case", lower(current), nil},
		{"of the successor", replace(current, "MINIO__", "S3__"), nil},
		{
			"of older charts", replace(replace(replace(replace(current, "HUB__AUTH__FLOW", "HUB__AUTH_METHOD"), "HUB__AUTH__ID", "HUB__ROBOT_AUTH__ID"),
				"HUB__AUTH__SECRET", "HUB__ROBOT_AUTH__SECRET"), "OIDC__CERTS_URL", "OPENID_CERTS_URL"),
			[]string{"HUB__AUTH_METHOD is an old spelling: its name is HUB__AUTH__FLOW now", "OPENID_CERTS_URL is an old spelling"},
		},
		{
			"both at once", append([]string{"HUB__AUTH_METHOD=password", "HUB__API_BASE_URL=x", "CHUNK_SIZE=1"}, current...),
			[]string{"HUB__AUTH_METHOD is ignored: HUB__AUTH__FLOW is set as well", "HUB__API_BASE_URL is ignored", "CHUNK_SIZE is ignored"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Load(Input{Environ: c.environ})
			if err != nil {
				t.Fatal(err)
			}
			h, s3 := got.Results.Hub, got.Objects.S3
			if h.Flow != "robot" || h.ID != "r1" || h.Secret.Reveal() != "s1" || h.CoreURL != defaultCoreURL || h.AuthURL != defaultAuthURL {
				t.Errorf("hub: %+v", h)
			}
			if got.Objects.Driver != "s3" || s3.Endpoint != "minio:9000" || s3.Bucket != "flame" || s3.SecretKey.Reveal() != "s3cr3t" || s3.UseTLS || s3.Region != "us-east-1" {
				t.Errorf("s3: %+v", got.Objects)
			}
			if is := got.Identity.Issuers; len(is) != 1 || !strings.HasSuffix(is[0].JWKSURL, "/certs") || is[0].Algorithms[0] != "RS256" || is[0].Issuer != "" {
				t.Errorf("issuers: %+v", is)
			}
			if got.DatabaseURL.Reveal() != "postgres://u:p%40%2Fss@db:5432/flame" {
				t.Errorf("database: %s", got.DatabaseURL.Reveal())
			}
			if got.Results.ClientIDClaim != "azp" || got.Identity.SkipJWT || !strings.Contains(got.Results.Crypto.PrivateKey.Reveal(), "BEGIN") {
				t.Errorf("results: %+v", got.Results)
			}
			for _, want := range c.notices {
				if !strings.Contains(strings.Join(got.Notices, "\n"), want) {
					t.Errorf("notices %q lack %q", got.Notices, want)
				}
			}
			if len(c.notices) == 0 && len(got.Notices) > 0 {
				t.Errorf("notices %q", got.Notices)
			}
		})
	}
}

func lower(list []string) []string {
	out := make([]string, len(list))
	for i, pair := range list {
		name, value, _ := strings.Cut(pair, "=")
		out[i] = strings.ToLower(name) + "=" + value
	}
	return out
}

func replace(list []string, from, to string) []string {
	out := make([]string, len(list))
	for i, pair := range list {
		out[i] = strings.Replace(pair, from, to, 1)
	}
	return out
}

func TestOriginalsStandBetweenFileAndOwnVariables(t *testing.T) {
	t.Parallel()
	got, err := Load(Input{
		File:    write(t, "results:\n  hub_adapter_client_id: file\n  client_id_claim: file\n"),
		DotEnv:  write(t, "HUB_ADAPTER_CLIENT_ID=dotenv\nexport oidc__client_id_claim_name='dotenv' # why\nMINIO__REGION=dotenv\n"),
		Environ: []string{"HUB_ADAPTER_CLIENT_ID=environ", "LODGE_RESULTS_CLIENT_ID_CLAIM=own"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Results.HubAdapterClientID != "environ" || got.Results.ClientIDClaim != "own" || got.Objects.S3.Region != "dotenv" {
		t.Errorf("got %q, %q, %q", got.Results.HubAdapterClientID, got.Results.ClientIDClaim, got.Objects.S3.Region)
	}
}

func TestOldPasswordVariablesImplyTheirFlow(t *testing.T) {
	t.Parallel()
	got, err := Load(Input{Environ: []string{
		"HUB__AUTH_USERNAME=u", "HUB__AUTH_PASSWORD=p", "HUB__CORE_BASE_URL=http://core", "PROXY__HTTP_URL=http://proxy:3128", "NO_PROXY=hub.internal",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if h := got.Results.Hub; h.Flow != "password" || h.Username != "u" || h.CoreURL != "http://core" || h.StorageURL != defaultStorageURL || h.NoProxy != "hub.internal" {
		t.Errorf("got %+v", h)
	}
}

func TestIncompleteOriginals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{"POSTGRES__HOST=h", "POSTGRES__USER=u"}, "POSTGRES__HOST: POSTGRES__PASSWORD, POSTGRES__DB must be set as well"},
		{[]string{"CRYPTO__PROVIDER=raw"}, "raw needs CRYPTO__ECDH_PRIVATE_KEY as well"},
		{[]string{"CRYPTO__PROVIDER=file"}, "file needs CRYPTO__ECDH_PRIVATE_KEY_PATH as well"},
		{[]string{"CRYPTO__PROVIDER=vault"}, "choose raw or file"},
		{[]string{"HUB__AUTH__FLOW=robot", "HUB__AUTH__ID=x"}, "HUB__AUTH__FLOW: results.hub.flow: robot needs results.hub.id and results.hub.secret"},
		{[]string{"MINIO__ENDPOINT=minio:9000"}, "objects.s3.bucket must be set"},
		{[]string{"MINIO__USE_SSL=maybe"}, `"maybe" is neither true nor false`},
	} {
		if _, err := Load(Input{Environ: c.environ}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.environ, err, c.want)
		}
	}
}

// What the deployment of the workflows part's original sets.
func TestFlowifyVariables(t *testing.T) {
	t.Parallel()
	got, err := Load(Input{Environ: []string{
		"FLOWIFY_SERVER_PORT=8842", "FLOWIFY_LOGGING_LOGLEVEL=debug", "FLOWIFY_AUTH_HANDLER=azure-oauth2-openid-token", "FLOWIFY_AUTH_CONFIG_ISSUER=https://sts.example.org/t/",
		"FLOWIFY_AUTH_CONFIG_AUDIENCE=flowify", "FLOWIFY_AUTH_CONFIG_KEYSURL=https://login.example.org/keys", "FLOWIFY_DB_SELECT=mongo",
		"FLOWIFY_KUBERNETES_KUBECONFIGPATH=/etc/kubeconfig", "FLOWIFY_KUBERNETES_NAMESPACE=flowify",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != ":8842" || got.Log.Level != "debug" || len(got.Identity.Issuers) != 1 || !strings.Contains(strings.Join(got.Notices, "\n"), "FLOWIFY_DB_SELECT is ignored") {
		t.Errorf("%+v, %q", got.Config, got.Notices)
	}
	if got.Kubernetes.Kubeconfig != "/etc/kubeconfig" || got.Workflows.Argo.Namespace != "flowify" {
		t.Errorf("%+v, %+v", got.Kubernetes, got.Workflows.Argo)
	}
	if is := got.Identity.Issuers[0]; is.JWKSURL != "https://login.example.org/keys" || is.Issuer != "https://sts.example.org/t/" || is.RoleClaim != "roles" || is.SubjectClaims[0] != "oid" || is.Audiences[0] != "flowify" {
		t.Errorf("%+v", is)
	}
	for environ, want := range map[string]string{
		"FLOWIFY_AUTH_HANDLER=disabled-auth": "everybody logs in", "FLOWIFY_AUTH_HANDLER=x": "not supported",
		"FLOWIFY_AUTH_CONFIG_KEYSURL=" + unverified: "identity.skip_jwt_validation",
	} {
		if _, err := Load(Input{Environ: []string{environ}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", environ, err)
		}
	}
}
