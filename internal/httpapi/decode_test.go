package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"lodge/internal/fault"
)

type colour string

type sampleItem struct {
	Name  string `json:"name" minLength:"1" maxLength:"5"`
	Count int    `json:"count,omitempty" maximum:"9"`
}

type sampleBody struct {
	Title string            `json:"title"`
	Items []sampleItem      `json:"items,omitempty" maxItems:"3"`
	Extra map[string]string `json:"extra,omitempty"`
	Big   int64             `json:"big,omitempty"`
	When  *time.Time        `json:"when,omitempty"`
}

// decodeThrough runs Decode behind a server, so that plans and limits are the real ones.
func decodeThrough[T any](t testing.TB, method, target, body string, change ...func(*http.Request)) (T, error) {
	t.Helper()
	var got T
	var failure error
	log, _ := newLog()
	s := New(Config{MaxBody: 2000}, nil, log, time.Now, nil)
	handle := func(_ http.ResponseWriter, r *http.Request) error {
		got, failure = Decode[T](r)
		return nil
	}
	mustMount(t, s, Mount{Name: "x", Routes: []Route{
		{Method: method, Path: "/x/{id}", Action: Public, Handle: handle},
	}})
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(r)
	}
	s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	return got, failure
}

// findings prints an error's fields as "loc: type: message" lines.
func findings(err error) []string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return []string{fmt.Sprint(err)}
	}
	if len(f.Fields) == 0 {
		return []string{f.Kind.String() + ": " + f.Detail}
	}
	var out []string
	for _, field := range f.Fields {
		out = append(out, strings.Join(field.Loc, ".")+": "+field.Type+": "+field.Message)
	}
	return out
}

func TestDecodeParameters(t *testing.T) {
	t.Parallel()
	type request struct {
		PageQuery
		ID     string    `path:"id" maxLength:"8"`
		Colour colour    `query:"colour" enum:"red,green"`
		Level  int       `query:"level" enum:"1,2,3"`
		Ratio  float64   `query:"ratio" default:"0.5" exclusiveMaximum:"1"`
		Deep   bool      `query:"deep"`
		Maybe  *int64    `query:"maybe"`
		Until  time.Time `query:"until"`
		Since  time.Time `header:"If-Modified-Since"`
		Tags   []string  `query:"tag" maxItems:"2" maxLength:"3"`
		Kinds  []colour  `query:"kind" default:"red,green"`
		Trace  string    `header:"X-Trace"`
		Needed string    `query:"needed" required:"true"`
	}
	got, err := decodeThrough[request](t, "GET", "/x/abc?needed=&level=2&colour=green&deep=true&maybe=9007199254740993&until=2026-01-31T12:00:00.5%2B01:00&tag=a&tag=b&limit=7", "",
		header("X-Trace", "t"), header("If-Modified-Since", "Sat, 31 Jan 2026 12:00:00 GMT"))
	if err != nil {
		t.Fatal(findings(err))
	}
	maybe := int64(9007199254740993)
	want := request{
		PageQuery: PageQuery{Limit: 7}, ID: "abc", Colour: "green", Level: 2, Ratio: 0.5, Deep: true, Maybe: &maybe,
		Tags: []string{"a", "b"}, Kinds: []colour{"red", "green"}, Trace: "t",
	}
	if !got.Until.Equal(time.Date(2026, 1, 31, 11, 0, 0, 5e8, time.UTC)) || !got.Since.Equal(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("times: %s, %s", got.Until, got.Since)
	}
	got.Until, got.Since = time.Time{}, time.Time{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	_, err = decodeThrough[request](t, "GET", "/x/abcdefghi?level=4&colour=blue&ratio=1&deep=perhaps&maybe=1.5&until=tomorrow&tag=a&tag=bbbb&tag=c&limit=0&limit=1&offset=-1&kind=red&kind=red", "",
		header("If-Modified-Since", "yesterday"))
	wantFindings := []string{
		"query.limit: repeated: is given more than once",
		"query.offset: invalid: expected number >= 0",
		"path.id: invalid: expected length <= 8",
		`query.colour: invalid: expected value to be one of "red, green"`,
		`query.level: invalid: expected value to be one of "1, 2, 3"`,
		"query.ratio: invalid: expected number < 1",
		"query.deep: invalid: expected true or false",
		"query.maybe: invalid: expected integer",
		"query.until: invalid: expected a time such as 2026-01-31T12:00:00Z",
		"header.If-Modified-Since: invalid: expected a date as HTTP writes them",
		"query.tag: invalid: expected array length <= 2",
		"query.tag.1: invalid: expected length <= 3",
		"query.needed: missing: is required",
	}
	if got := findings(err); !reflect.DeepEqual(got, wantFindings) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(wantFindings, "\n"))
	}
	if _, err := decodeThrough[request](t, "GET", "/x/1?needed=%zz", ""); !strings.Contains(strings.Join(findings(err), " "), "query: invalid: the query is not well formed") {
		t.Errorf("malformed query: %v", findings(err))
	}
	for _, ratio := range []string{"NaN", "-Inf", "1e999", "0x", ""} {
		if _, err := decodeThrough[request](t, "GET", "/x/1?needed=1&ratio="+ratio, ""); err == nil {
			t.Errorf("ratio %q is a number", ratio)
		}
	}
}

func TestDecodeBody(t *testing.T) {
	t.Parallel()
	type request struct {
		ID   string `path:"id" maxLength:"3"`
		Body sampleBody
	}
	tests := []struct {
		name, body string
		want       []string // findings; nil for success
	}{
		{"least", `{"title":"a"}`, nil},
		{"all", `{"title":"a","items":[{"name":"x","count":3}],"extra":{"k":"v"},"big":9007199254740993,"when":"2026-01-31T12:00:00Z"}`, nil},
		{"spaces around", " \n{\"title\":\"a\"}\n ", nil},
		{"nothing", "", []string{"body: missing: a JSON body is required"}},
		{"blank", " \n ", []string{"body: missing: a JSON body is required"}},
		{"every finding at once", `{"items":[{"name":""},{"nam":"x"},{"name":"toolong","count":12}],"extra":{"k":1},"when":"now","b":1}`, []string{
			"body.b: unexpected: is not known here",
			"body.extra.k: invalid: expected string",
			"body.items.0.name: invalid: expected length >= 1",
			"body.items.1.nam: unexpected: is not known here",
			"body.items.1.name: missing: is required",
			"body.items.2.count: invalid: expected number <= 9",
			"body.items.2.name: invalid: expected length <= 5",
			"body.title: missing: is required",
			"body.when: invalid: expected string to be RFC 3339 date-time",
		}},
		{"null", `null`, []string{"body: invalid: expected object"}},
		{"a list", `[]`, []string{"body: invalid: expected object"}},
		{"title null", `{"title":null}`, []string{"body.title: invalid: expected string"}},
		{"no object", `"title"`, []string{"body: invalid: expected object"}},
		{"fraction", `{"title":"a","big":1.5}`, []string{"body.big: invalid: expected integer"}},
		{"beyond int64", `{"title":"a","big":99999999999999999999}`, []string{"body: invalid: big: a number 99999999999999999999 does not fit here"}},
		{"exponent", `{"title":"a","big":1e3}`, []string{"body: invalid: big: a number 1e3 does not fit here"}},
		{"beyond float", `{"title":"a","big":1e999}`, []string{"body: json_invalid: the body is not valid JSON: json: cannot unmarshal number 1e999 into Go value of type float64"}},
		{"cut", "{\n  \"title\": \"a\",\n  \"items\": [", []string{"body: json_invalid: the body is not valid JSON: line 3, column 12: unexpected end of JSON input"}},
		{"comma", "{\n \"title\": \"ä\" \"b\"}", []string{"body: json_invalid: the body is not valid JSON: line 2, column 15: invalid character '\"' after object key:value pair"}},
		{"trailing data", `{"title":"a"}{"title":"b"}`, []string{"body: json_invalid: the body is not valid JSON: line 1, column 14: invalid character '{' after top-level value"}},
		{"not UTF-8", "{\"title\":\"\xff\"}", []string{"body: json_invalid: the body is not UTF-8"}},
		{"byte order mark", "\ufeff{\"title\":\"a\"}", []string{"body: json_invalid: the body is not valid JSON: line 1, column 1: invalid character 'ï' looking for beginning of value"}},
		{"twice", `{"title":"a","title":"b"}`, []string{"body.title: repeated: is given more than once"}},
		{"twice but for case", `{"title":"a","TITLE":"b"}`, []string{"body.TITLE: repeated: is given more than once"}},
		{"twice in a strange case", `{"items":[{"name":"a"}],"title":"b","ıtems":[],"item\u017f":[]}`, []string{"body.itemſ: repeated: is given more than once", "body.ıtems: unexpected: is not known here"}},
		{"deep", `{"title":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, []string{"body: json_invalid: the body is not valid JSON: it nests deeper than 64 levels"}},
		{"too many", `{"title":"a","items":[{"name":"a"},{"name":"a"},{"name":"a"},{"name":"a"}]}`, []string{"body.items: invalid: expected array length <= 3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeThrough[request](t, "POST", "/x/1", tt.body)
			if tt.want == nil {
				if err != nil {
					t.Fatal(findings(err))
				}
				var want sampleBody
				if err := json.Unmarshal([]byte(tt.body), &want); err != nil || !reflect.DeepEqual(got.Body, want) {
					t.Errorf("got %+v, want %+v (%v)", got.Body, want, err)
				}
				return
			}
			if list := findings(err); !reflect.DeepEqual(list, tt.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(list, "\n"), strings.Join(tt.want, "\n"))
			}
			if !fault.Is(err, fault.Invalid) || !reflect.ValueOf(got).IsZero() {
				t.Errorf("kind %s, value %+v", fault.KindOf(err), got)
			}
		})
	}
	_, err := decodeThrough[request](t, "POST", "/x/long", `{"big":"1"}`)
	want := []string{"path.id: invalid: expected length <= 3", "body.big: invalid: expected integer", "body.title: missing: is required"}
	if got := findings(err); !reflect.DeepEqual(got, want) {
		t.Errorf("path and body together: %q", got)
	}
}

func TestDecodeBodyMedia(t *testing.T) {
	t.Parallel()
	type request struct{ Body sampleBody }
	const body = `{"title":"a"}`
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		kind   fault.Kind
	}{
		{"json", header("Content-Type", "application/json; charset=UTF-8"), -1},
		{"a kind of json", header("Content-Type", "application/merge-patch+json"), -1},
		{"form", header("Content-Type", "application/x-www-form-urlencoded"), fault.Unsupported},
		{"text", header("Content-Type", "text/plain"), fault.Unsupported},
		{"none", header("Content-Type"), fault.Unsupported},
		{"rubbish", header("Content-Type", ";;"), fault.Unsupported},
		{"latin", header("Content-Type", "application/json; charset=iso-8859-1"), fault.Unsupported},
		{"packed", header("Content-Encoding", "gzip"), fault.Unsupported},
	} {
		if _, err := decodeThrough[request](t, "POST", "/x/1", body, tt.change); err != nil && fault.KindOf(err) != tt.kind || (err == nil) != (tt.kind == -1) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	if _, err := decodeThrough[request](t, "POST", "/x/1", `{"title":"`+strings.Repeat("a", 3000)+`"}`, chunked); Status(refine(err)) != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %v", err)
	}
}

func TestDecodeOptionalBody(t *testing.T) {
	t.Parallel()
	type request struct{ Body *sampleBody }
	if got, err := decodeThrough[request](t, "POST", "/x/1", ""); err != nil || got.Body != nil {
		t.Errorf("without: %+v, %v", got, err)
	}
	if got, err := decodeThrough[request](t, "POST", "/x/1", `{"title":"a"}`); err != nil || got.Body == nil || got.Body.Title != "a" {
		t.Errorf("with: %+v, %v", got, findings(err))
	}
	if _, err := decodeThrough[request](t, "POST", "/x/1", `{}`); err == nil {
		t.Error("what is sent is not checked")
	}
}

// TestDecodeWithoutServer: handlers can be tested without a chain.
func TestDecodeWithoutServer(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/?limit=5", io.NopCloser(strings.NewReader(`{"title":"`+strings.Repeat("a", 2<<20)+`"}`)))
	r.Header.Set("Content-Type", "application/json")
	if got, err := Decode[PageQuery](r); err != nil || got.Limit != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Decode[struct{ Body sampleBody }](r); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a body without limit: %v", err)
	}
	if _, err := Decode[int](r); err == nil {
		t.Error("an int is no request")
	}
}

// FuzzDecode: whatever is sent, the answer is a value that satisfies its schema or a finding.
func FuzzDecode(f *testing.F) {
	type request struct {
		PageQuery
		Colour colour `query:"colour" enum:"red,green"`
		Body   sampleBody
	}
	f.Add("limit=5&colour=red", `{"title":"a","items":[{"name":"x","count":3}]}`)
	f.Add("limit=&limit", `{"title":"a","TITLE":"b"}`)
	f.Add("%zz", `{"title":"a"}{}`)
	f.Add("colour=blue", `[[[[[[[[`)
	f.Add("", `{"extra":{"a.b[3]":"c"},"title":""}`)
	log, _ := newLog()
	s := New(Config{}, nil, log, time.Now, nil)
	var got request
	var failure error
	handle := func(_ http.ResponseWriter, r *http.Request) error {
		got, failure = Decode[request](r)
		return failure
	}
	mustMount(f, s, Mount{Name: "x", Routes: []Route{{Method: "POST", Path: "/", Action: Public, Handle: handle, Doc: Doc{Request: request{}}}}})
	h := s.Handler()
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if failure != nil {
			if w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%v: answered %d %s", failure, w.Code, w.Body)
			}
			return
		}
		if got.Limit < 1 || got.Limit > 1000 || got.Offset < 0 || got.Colour != "" && got.Colour != "red" && got.Colour != "green" {
			t.Fatalf("parameters out of their schema: %+v", got)
		}
		if len(got.Body.Items) > 3 {
			t.Fatalf("body out of its schema: %+v", got.Body)
		}
		for _, item := range got.Body.Items {
			if n := len([]rune(item.Name)); n < 1 || n > 5 || item.Count > 9 {
				t.Fatalf("item out of its schema: %+v", item)
			}
		}
	})
}
