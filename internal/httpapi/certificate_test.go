package httpapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testCA issues certificates.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	ca := &testCA{key: newKey(t), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ca.key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca.pool.AddCert(ca.cert)
	return ca
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (ca *testCA) issue(t *testing.T, serial int64, public crypto.PublicKey, names ...string) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.cert, public, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (ca *testCA) issueFiles(t *testing.T, certFile, keyFile string, serial int64, names ...string) {
	t.Helper()
	key := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		certFile: ca.issue(t, serial, key.Public(), names...),
		keyFile:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// fakeACME is an authority that takes every order for proven. It returns its address and the file
// that its own certificate is checked by.
func fakeACME(t *testing.T, ca *testCA) (url, caFile string) {
	t.Helper()
	var mu sync.Mutex
	var issued []byte
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Replay-Nonce", rand.Text())
		mux.ServeHTTP(w, r)
	}))
	reply := func(w http.ResponseWriter, status int, location string, v any) {
		w.Header().Set("Location", url+location)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	order := func(status string) map[string]any {
		return map[string]any{"status": status, "finalize": url + "/finalize", "certificate": url + "/certificate", "authorizations": []string{}}
	}
	mux.HandleFunc("/directory", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, "", map[string]string{"newNonce": url + "/nonce", "newAccount": url + "/account", "newOrder": url + "/order"})
	})
	mux.HandleFunc("/nonce", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/account", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 201, "/account/1", map[string]any{"status": "valid"})
	})
	mux.HandleFunc("/order", func(w http.ResponseWriter, _ *http.Request) { reply(w, 201, "/order/1", order("ready")) })
	mux.HandleFunc("/order/1", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, "/order/1", order("valid")) })
	mux.HandleFunc("/finalize", func(w http.ResponseWriter, r *http.Request) {
		csr, err := csrOf(r)
		if err != nil {
			t.Errorf("finalize: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		issued = ca.issue(t, 7, csr.PublicKey, csr.DNSNames...)
		reply(w, 200, "/order/1", order("valid"))
	})
	mux.HandleFunc("/certificate", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(issued)
	})

	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.issueFiles(t, cert, key, 3, "localhost")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	url = fmt.Sprintf("https://localhost:%s", server.URL[len("https://127.0.0.1:"):])
	caFile = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return url, caFile
}

// csrOf reads the certificate request out of a signed message; who signed it does not matter here.
func csrOf(r *http.Request) (*x509.CertificateRequest, error) {
	var message struct{ Payload string }
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(message.Payload)
	if err != nil {
		return nil, err
	}
	var body struct{ CSR string }
	if err := json.Unmarshal(payload, &body); err != nil {
		return nil, err
	}
	der, err := base64.RawURLEncoding.DecodeString(body.CSR)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}
