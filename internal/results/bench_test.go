package results

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// benchSite serves from real files and SQLite, with a client that keeps its connections.
func benchSite(b *testing.B) (*site, *http.Client, string) {
	s := newSite(b, withoutHub)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	return s, &http.Client{Transport: transport}, analysis(b, "a")
}

func send(b *testing.B, client *http.Client, method, url, auth, kind string, body io.Reader) {
	req, err := http.NewRequestWithContext(b.Context(), method, url, body)
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Content-Type", kind)
	resp, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Error(resp.Status, err)
	}
}

func BenchmarkPutLocal(b *testing.B) {
	s, client, auth := benchSite(b)
	kind, body := buildForm(file("a.bin", strings.Repeat("x", 64<<10)), text("tag", "bench"))
	b.SetParallelism(16)
	b.SetBytes(64 << 10)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			send(b, client, http.MethodPut, s.url+"/local", auth, kind, strings.NewReader(body))
		}
	})
}

func BenchmarkGetLocal(b *testing.B) {
	s, client, auth := benchSite(b)
	id := parse[LocalUploadResponse](b, s.put("/local", auth, file("a.bin", strings.Repeat("x", 64<<10)))).ObjectID
	b.SetParallelism(16)
	b.SetBytes(64 << 10)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			send(b, client, http.MethodGet, s.url+"/local/"+id, auth, "", nil)
		}
	})
}

func BenchmarkPutLocalLarge(b *testing.B) {
	s, client, auth := benchSite(b)
	const size = 256 << 20
	head := "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	b.SetBytes(size)
	for b.Loop() {
		body := io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--B--\r\n"))
		send(b, client, http.MethodPut, s.url+"/local", auth, "multipart/form-data; boundary=B", body)
	}
}
