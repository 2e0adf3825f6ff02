package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// What somebody says about who they are reaches no app, however it is spelt, and what an app says
// about its own site reaches no browser. The classes "header smuggling by spelling" and "credential
// handed to an app".
func TestWhatAnAppIsTold(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(`[{id: wild, command: [{wild}, serve], allow: {users: ["*"]}, identity: {headers: [userid, X-Lodge-User]}}]`))
	ana := l.person("ana")
	at := ana.up("wild").host()
	host := strings.TrimPrefix(at, "http://")

	heads := []string{
		"Oidc_claim_sub: evil", "OIDC_access_token: evil", "oidc-claim-email: evil", "REMOTE-USER: evil", "Remote_User: evil", "X-Remote-User: evil",
		"X-Auth-Request-User: evil", "x-auth-request-email: evil", "X-Forwarded-User: evil", "X-Forwarded-Email: evil", "X-Forwarded-Groups: evil",
		"X-Forwarded-Access-Token: evil", "X-Lodge-User: evil", "x-lodge-user: evil", "X_Lodge_User: evil", "X-Lodge-Roles: evil", "X-LODGE-ANYTHING: evil",
		"User_Id: evil", "X-Forwarded-For: evil", "X-Real-IP: evil", "Forwarded: for=evil", "X-Forwarded-Host: evil", "X-Forwarded-Proto: evil",
		"Authorization: Basic evil", "Proxy-Authorization: evil", "X-Mine: kept", "Connection: x-lodge-user, userid, close",
		"Cookie: a=1; lodge_session=evil; b=\"two\"; lodge-app=evil;c=3", "Cookie: __Host-lodge_session=evil", "Userid: ana",
	}
	answer := l.raw("GET /a%2Fb//c;d?e=%20&f HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(heads, "\r\n") + "\r\n\r\n")
	for _, want := range []string{
		"GET /a%2Fb//c;d?e=%20&f HTTP/1.1\r\n", "Host: " + host, "Userid: ana\r\n", "X-Lodge-User: ana\r\n", "X-Mine: kept", `Cookie: a=1; b="two";c=3`,
		"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: " + host, "X-Forwarded-Proto: http\r\n",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("the app was not told %q:\n%s", want, answer)
		}
	}
	if strings.Contains(answer, "evil") || strings.Contains(strings.ToLower(answer), "authorization") {
		t.Errorf("what the client said about itself reached the app:\n%s", answer)
	}
	// Without the proxy's word a name in the header is nobody's: two of them are refused.
	twice := l.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\nuserid: ben\r\nConnection: close\r\n\r\n")
	if strings.HasPrefix(twice, "HTTP/1.1 200") {
		t.Errorf("two names were believed:\n%s", twice)
	}

	set := ana.get(at + "/set?cookie=" + url.QueryEscape("a=1; Path=/") + "&cookie=" + url.QueryEscape("b=2; Domain=localhost") + "&cookie=" + url.QueryEscape("lodge_session=x; Path=/") + "&cookie=" + url.QueryEscape("c=3; Domain=.apps.localhost"))
	equal(t, "cookies", strings.Join(set.header["Set-Cookie"], "|"), "a=1; Path=/")
	equal(t, "Server", set.header.Get("Server"), "")
	equal(t, "Location", ana.get(at+"/go?to=http%3A%2F%2FSELF%2Fx%3Fy").header.Get("Location"), at+"/x?y")
	equal(t, "Location", ana.get(at+"/go?to=https%3A%2F%2Felsewhere.example%2F").header.Get("Location"), "https://elsewhere.example/")
}

// Requests that two servers may read differently are refused, and none of them carries another.
func TestShapesOfSmuggling(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(wildOnly))
	ana := l.person("ana")
	host := strings.TrimPrefix(ana.up("wild").host(), "http://")
	ben := l.person("ben")
	bens := strings.TrimPrefix(ben.up("wild").host(), "http://")

	smuggled := "GET /smuggled HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\n\r\n"
	head := "POST / HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\nSec-Fetch-Site: same-origin\r\n"
	for name, text := range map[string]string{
		"length and chunks":        head + "Content-Length: " + strconv.Itoa(len(smuggled)) + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two lengths":              head + "Content-Length: 0\r\nContent-Length: " + strconv.Itoa(len(smuggled)) + "\r\n\r\n" + smuggled,
		"a length with a sign":     head + "Content-Length: +" + strconv.Itoa(len(smuggled)) + "\r\n\r\n" + smuggled,
		"an odd transfer coding":   head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two transfer codings":     head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
		"a space before the colon": head + "Content-Length : " + strconv.Itoa(len(smuggled)) + "\r\n\r\n" + smuggled,
		"a folded header":          head + "X-Odd: a\r\n b\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"a bare line feed":         head + "X-Odd: a\nContent-Length: " + strconv.Itoa(len(smuggled)) + "\r\n\r\n" + smuggled,
		"two hosts":                "GET / HTTP/1.1\r\nHost: " + host + "\r\nHost: " + bens + "\r\nuserid: ana\r\n\r\n",
		"a NUL in a header":        head + "X-Odd: a\x00b\r\n\r\n",
		"a chunk with a sign":      head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + smuggled,
		"no host":                  "GET / HTTP/1.1\r\nuserid: ana\r\n\r\n",
		"a space in the target":    "GET /a b HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\n\r\n",
	} {
		answer := l.raw(text)
		if n := strings.Count(answer, "HTTP/1.1 200"); n > 1 || strings.Contains(answer, "GET /smuggled") && name != "length and chunks" {
			t.Errorf("%s: %d answers:\n%s", name, n, answer)
		}
		// A body that is sent along is no request, and an app gets one request for one.
		if strings.Contains(answer, "GET /smuggled") {
			t.Errorf("%s: a second request came through:\n%s", name, answer)
		}
	}
	// An absolute target decides nothing but where it says, and that is not ben's to ana.
	absolute := l.raw("GET http://" + bens + "/ HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(absolute, "HTTP/1.1 404") && !strings.HasPrefix(absolute, "HTTP/1.1 400") {
		t.Errorf("an absolute target led to another's app:\n%s", absolute)
	}
	for _, target := range []string{"/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fx", "/%00", "/\\..\\x", "//evil.example/x", "/a/./b/../c"} {
		answer := l.raw("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\nConnection: close\r\n\r\n")
		// As its own origin an app may have whatever paths it likes: they come as they are, or not at all.
		if strings.HasPrefix(answer, "HTTP/1.1 200") && !strings.Contains(answer, "GET "+target+" HTTP/1.1") {
			t.Errorf("%s was changed on the way:\n%s", target, answer)
		}
	}
	huge := l.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nuserid: ana\r\nX-Much: " + strings.Repeat("x", 1<<20) + "\r\n\r\n")
	if !strings.HasPrefix(huge, "HTTP/1.1 431") {
		t.Errorf("a header of 1 MiB: %.100s", huge)
	}
	ana.get(ana.launch("wild").host()+"/still").is(200, "GET /still")
}

// Bodies pass in both directions without being kept, and everything else that HTTP has passes too.
func TestWhatPassesThrough(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(wildOnly))
	ana := l.person("ana")
	at := ana.up("wild").host()

	size := int64(64 << 20)
	if *full {
		size = 1 << 30
	}
	before := l.server.memory("VmRSS")
	f := randomFile("big", 7, size)
	sum, err := ana.try(t.Context(), "POST", at+"/sum", nil, f.open(), size)
	noError(t, err)
	equal(t, "the sum of what was sent", sum.body, f.sha256())
	down, err := ana.open(t.Context(), "GET", at+"/big?n="+strconv.FormatInt(size, 10), nil, http.NoBody, 0)
	noError(t, err)
	came := sha256.New()
	_, err = io.Copy(came, down.Body)
	noError(t, err)
	equal(t, "the sum of what came", hex.EncodeToString(came.Sum(nil)), f.sha256())
	_ = down.Body.Close()
	if grown := l.server.memory("VmRSS") - before; grown > 32<<20 {
		t.Errorf("%d MiB each way cost %d MiB of memory", size>>20, grown>>20)
	}

	for _, method := range []string{"HEAD", "OPTIONS", "PATCH", "PUT", "DELETE"} {
		a := ana.do(method, at+"/x", nil, "")
		if a.status != 200 || method != "HEAD" && !strings.Contains(a.body, method+" /x HTTP/1.1") {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
	ana.do("POST", at+"/post", http.Header{"Expect": {"100-continue"}}, "expected").is(200)
	ana.get(at+"/posts").is(200, "POST expected")
	hints := l.raw("GET /hints HTTP/1.1\r\nHost: " + strings.TrimPrefix(at, "http://") + "\r\nuserid: ana\r\nTE: trailers\r\nConnection: close\r\n\r\n")
	if !strings.Contains(hints, "HTTP/1.1 103") || !strings.Contains(hints, "X-Sum: 42") {
		t.Errorf("neither hints nor trailers:\n%s", hints)
	}

	// An app that sends far too much header, or none, costs one answer and nothing else.
	ana.get(at + "/flood").is(502)
	silent, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := ana.try(silent, "GET", at+"/silence", nil, http.NoBody, 0); err == nil {
		t.Error("silence was an answer")
	}
	ana.get(at + "/pid").is(200)

	// What is sent bit by bit comes bit by bit, and whoever goes is missed.
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	stream, err := ana.open(ctx, "GET", at+"/sse", nil, http.NoBody, 0)
	noError(t, err)
	lines := bufio.NewReader(stream.Body)
	for n := 0; n < 3; {
		line, err := lines.ReadString('\n')
		noError(t, err)
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok {
			n++
			sent, err := strconv.ParseInt(text, 10, 64)
			noError(t, err)
			if late := time.Since(time.Unix(0, sent)); late > time.Second {
				t.Errorf("an event came %s late", late)
			}
		}
	}
	leave()
	_ = stream.Body.Close()
	eventually(t, "the app hears that its client went away", func() bool { return ana.get(at+"/gone").body == "1" })
}

// WebSockets pass as they are; those of other sites' pages do not.
func TestSocketsPass(t *testing.T) {
	t.Parallel()
	l := startLodge(t, withApps(wildOnly))
	ana := l.person("ana")
	session := ana.up("wild")
	at := session.host()
	dial := func(name, origin string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), at+"/ws", &websocket.DialOptions{
			HTTPClient: l.nobody().http, HTTPHeader: http.Header{"userid": {name}, "Origin": {origin}}, Subprotocols: []string{"wild"},
		})
	}
	for _, foreign := range []string{"https://evil.example", l.url(), strings.Replace(at, "wild--ana", "wild--ben", 1), "null"} {
		if _, resp, err := dial("ana", foreign); //nolint:bodyclose // the library has read it
		err == nil || resp.StatusCode != 403 {
			t.Errorf("a page of %s opened ana's socket: %v", foreign, err)
		}
	}
	if _, resp, err := dial("ben", at); //nolint:bodyclose // the library has read it
	err == nil || resp.StatusCode != 404 {
		t.Errorf("ben opened ana's socket: %v", err)
	}
	c, _, err := dial("ana", at) //nolint:bodyclose // what follows is no body
	noError(t, err)
	equal(t, "subprotocol", c.Subprotocol(), "wild")
	c.SetReadLimit(4 << 20)
	large := make([]byte, 1<<20)
	_, _ = rand.Read(large)
	noError(t, c.Write(t.Context(), websocket.MessageBinary, large))
	kind, got, err := c.Read(t.Context())
	noError(t, err)
	if kind != websocket.MessageBinary || string(got) != string(large) {
		t.Error("a frame of 1 MiB came back as another")
	}
	// In pieces, as browsers send what is large.
	w, err := c.Writer(t.Context(), websocket.MessageText)
	noError(t, err)
	for range 10 {
		_, err := io.WriteString(w, "piece ")
		noError(t, err)
	}
	noError(t, w.Close())
	_, got, err = c.Read(t.Context())
	noError(t, err)
	equal(t, "the pieces", string(got), strings.Repeat("piece ", 10))
	pinged, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, _, err := c.Read(t.Context()) // whoever reads hears the pong
		closed <- err
	}()
	go func() { pinged <- c.Ping(t.Context()) }()
	noError(t, <-pinged)
	noError(t, c.Write(t.Context(), websocket.MessageText, []byte("close")))
	err = <-closed
	if websocket.CloseStatus(err) != 4321 || !strings.Contains(fmt.Sprint(err), "as you wish") {
		t.Errorf("closed with %v", err)
	}
}
