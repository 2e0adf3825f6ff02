package results

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"unicode/utf8"

	"lodge/internal/fault"
)

func TestParseDisposition(t *testing.T) {
	t.Parallel()
	named := func(filename string) disposition {
		return disposition{name: "file", hasName: true, filename: filename, hasFilename: true}
	}
	for header, want := range map[string]disposition{
		`form-data; name="file"`:                                   {name: "file", hasName: true},
		`form-data; name=file`:                                     {name: "file", hasName: true},
		`form-data; name="file"; filename="a.txt"`:                 named("a.txt"),
		`form-data; name="file"; filename=""`:                      named(""),
		`form-data; name=file; filename=a.txt`:                     named("a.txt"),
		`FORM-DATA; NAME="file"; FileName="a.txt"`:                 named("a.txt"),
		`form-data;name="file";filename="a.txt";`:                  named("a.txt"),
		`form-data; name="file"; filename="../x/y.txt"`:            named("../x/y.txt"),
		`form-data; name="file"; filename="a;b=c.txt"`:             named("a;b=c.txt"),
		`form-data; name="file"; filename="a\"b\\c.txt"`:           named(`a"b\c.txt`),
		`form-data; name="file"; filename="a\b.txt"`:               named(`a\b.txt`),
		`form-data; name="file"; filename="a%22b.txt"`:             named("a%22b.txt"),
		`form-data; name="file"; filename*=UTF-8''a%20b.txt`:       named("a b.txt"),
		`form-data; name="file"; filename*=utf-8'en'%C3%A4.txt`:    named("ä.txt"),
		`form-data; name="file"; filename*="UTF-8''a%20b.txt"`:     named("a b.txt"),
		`form-data; name="file"; filename="x"; filename*=UTF-8''y`: named("y"),
		`form-data; name="file"; filename*=UTF-8''y; filename="x"`: named("y"),
		`form-data; name="file"; filename*=iso-8859-1''%E4.txt`:    named("ä.txt"),
		`form-data; name="file"; filename*=broken`:                 named("broken"),
		`form-data; name="file"; filename*=UTF-8''%zz`:             named("%zz"),
		"form-data; name=\"file\"; filename=\"\xc3\xa4.txt\"":      named("ä.txt"),
		"form-data; name=\"file\"; filename=\"\xe4.txt\"":          named("ä.txt"),
		`form-data; name="file"; filename="a"; filename="b"`:       named("b"),
		`form-data; name="file"; filename="no end`:                 named("no end"),
		`form-data; filename="a"`:                                  {filename: "a", hasFilename: true},
		`form-data; flag; name="file"`:                             {name: "file", hasName: true},
		`form-data`:                                                {},
		``:                                                         {},
	} {
		equal(t, parseDisposition(header), want)
	}
}

// sentPart is one part of a test's form.
type sentPart struct {
	header string // Content-Disposition without form-data
	kind   string // Content-Type, if any
	body   string
}

func text(name, body string) sentPart {
	return sentPart{header: fmt.Sprintf("name=%q", name), body: body}
}

func file(filename, body string) sentPart {
	return sentPart{header: fmt.Sprintf("name=%q; filename=%q", "file", filename), body: body}
}

func buildForm(parts ...sentPart) (contentType, body string) {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--BOUNDARY\r\nContent-Disposition: form-data; %s\r\n", p.header)
		if p.kind != "" {
			fmt.Fprintf(&b, "Content-Type: %s\r\n", p.kind)
		}
		b.WriteString("\r\n" + p.body + "\r\n")
	}
	return "multipart/form-data; boundary=BOUNDARY", b.String() + "--BOUNDARY--\r\n"
}

// taken is a file that readForm gave out.
type taken struct{ filename, contentType, body string }

func readTaken(contentType string, body io.Reader) (form, []taken, error) {
	r := httptest.NewRequest(http.MethodPut, "/", body)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	var all []taken
	f, err := readForm(r, func(_ form, p part) error {
		body, err := io.ReadAll(p.body)
		all = append(all, taken{p.filename, p.contentType, string(body)})
		return err
	})
	return f, all, err
}

func TestReadForm(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 20_000)
	for _, test := range []struct {
		name  string
		parts []sentPart
		files []taken
		texts map[string]string
	}{
		{name: "one file", parts: []sentPart{file("a.txt", "hello")}, files: []taken{{"a.txt", octetStream, "hello"}}},
		{name: "empty file", parts: []sentPart{file("a.txt", "")}, files: []taken{{"a.txt", octetStream, ""}}},
		{name: "large file", parts: []sentPart{file("a.bin", big)}, files: []taken{{"a.bin", octetStream, big}}},
		{
			name:  "media type",
			parts: []sentPart{{header: `name="file"; filename="a.csv"`, kind: "text/csv; charset=latin-1", body: "1"}},
			files: []taken{{"a.csv", "text/csv; charset=latin-1", "1"}},
		},
		{
			name:  "media type that is no header",
			parts: []sentPart{{header: `name="file"; filename="a"`, kind: "text/\xff", body: "1"}},
			files: []taken{{"a", octetStream, "1"}},
		},
		{
			name:  "tag before and after the file, the last counts",
			parts: []sentPart{text("tag", "one"), file("a", "1"), text("tag", "two")},
			files: []taken{{"a", octetStream, "1"}}, texts: map[string]string{"tag": "two"},
		},
		{
			name: "several files", parts: []sentPart{file("a", "1"), file("b", "2")},
			files: []taken{{"a", octetStream, "1"}, {"b", octetStream, "2"}},
		},
		{name: "Latin-1 text", parts: []sentPart{text("tag", "\xe4"), file("a", "")}, files: []taken{{"a", octetStream, ""}}, texts: map[string]string{"tag": "ä"}},
		{name: "empty text is there", parts: []sentPart{text("tag", ""), file("a", "")}, files: []taken{{"a", octetStream, ""}}, texts: map[string]string{"tag": ""}},
		{name: "boundary inside a line", parts: []sentPart{file("a", "x--BOUNDARY\r\ny\r\n--BOUNDAR")}, files: []taken{{"a", octetStream, "x--BOUNDARY\r\ny\r\n--BOUNDAR"}}},
		{name: "form without parts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			kind, body := buildForm(test.parts...)
			f, files, err := readTaken(kind, strings.NewReader(body))
			noError(t, err)
			equal(t, fmt.Sprint(files), fmt.Sprint(test.files))
			for name, want := range test.texts {
				equal(t, f[name].text, want)
			}
		})
	}
}

func TestReadFormRefuses(t *testing.T) {
	t.Parallel()
	kind, whole := buildForm(text("tag", "x"), file("a.txt", strings.Repeat("data", 100)))
	manyTexts := make([]sentPart, maxParts+1)
	manyFiles := make([]sentPart, maxParts+1)
	for i := range manyTexts {
		manyTexts[i] = text(fmt.Sprint(i), "")
		manyFiles[i] = sentPart{header: fmt.Sprintf(`name="%d"; filename="x"`, i)}
	}
	_, tooManyTexts := buildForm(manyTexts...)
	_, tooManyFiles := buildForm(manyFiles...)
	_, longText := buildForm(text("tag", strings.Repeat("x", maxText+1)))
	_, nameless := buildForm(sentPart{header: `filename="a"`})
	for name, test := range map[string]struct{ kind, body, detail string }{
		"no boundary":       {"multipart/form-data", whole, "Missing boundary in multipart."},
		"empty boundary":    {`multipart/form-data; boundary=""`, whole, "Missing boundary in multipart."},
		"no form":           {kind, "this is no form at all", "There was an error parsing the body"},
		"other boundary":    {"multipart/form-data; boundary=OTHER", whole, "There was an error parsing the body"},
		"broken header":     {kind, "--BOUNDARY\r\nno colon\r\n\r\nx\r\n--BOUNDARY--\r\n", "There was an error parsing the body"},
		"long text":         {kind, longText, "Part exceeded maximum size of 1024KB."},
		"many texts":        {kind, tooManyTexts, "Too many fields. Maximum number of fields is 1000."},
		"many files":        {kind, tooManyFiles, "Too many files. Maximum number of files is 1000."},
		"part without name": {kind, nameless, `The Content-Disposition header field "name" must be provided.`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readTaken(test.kind, strings.NewReader(test.body))
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Detail != test.detail {
				t.Errorf("got %v, want %s", err, test.detail)
			}
		})
	}
	// What is cut off has no fields, wherever it was cut.
	for at := 0; at < len(whole)-len("--\r\n"); at++ {
		f, _, err := readTaken(kind, strings.NewReader(whole[:at]))
		if err != nil || len(f) != 0 {
			t.Fatalf("cut off at %d of %d: %v, %v", at, len(whole), f, err)
		}
	}
	for _, kind := range []string{"", "application/json", "text/plain", "nonsense; ;;"} {
		f, files, err := readTaken(kind, strings.NewReader(whole))
		if err != nil || len(f) != 0 || files != nil {
			t.Errorf("%s: %v, %v, %v", kind, f, files, err)
		}
	}
	f, _, err := readTaken("application/x-www-form-urlencoded", strings.NewReader("file=a&tag=b&tag=c"))
	if err != nil || f["file"].text != "a" || f["file"].isFile || f["tag"].text != "c" {
		t.Errorf("urlencoded: %v, %v", f, err)
	}
}

// TestReadFormIsFlat reads a file that is far larger than what may be allocated for it.
func TestReadFormIsFlat(t *testing.T) {
	const size = 64 << 20
	head := "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	body := io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--B--\r\n"))
	r := httptest.NewRequest(http.MethodPut, "/", body)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
	var n int64
	allocated := allocations(func() {
		_, err := readForm(r, func(_ form, p part) (err error) {
			n, err = io.Copy(io.Discard, p.body)
			return err
		})
		noError(t, err)
	})
	equal(t, n, int64(size))
	if allocated > 1<<20 {
		t.Errorf("%d KiB allocated for a body of %d MiB", allocated>>10, size>>20)
	}
}

func FuzzReadForm(f *testing.F) {
	for _, parts := range [][]sentPart{
		{text("tag", "x"), file("a.txt", "hello")},
		{file("../ä", "1"), file("b", "--BOUNDARY"), text("tag", "\xff")},
		{{header: `name="file"; filename*=UTF-8''a%20b`, kind: "text/plain", body: "x"}},
		{},
	} {
		kind, body := buildForm(parts...)
		f.Add(kind, []byte(body))
	}
	f.Add("application/x-www-form-urlencoded", []byte("file=a&tag=%zz"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		form, files, err := readTaken(kind, bytes.NewReader(body))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("%v is no finding about the request", err)
		}
		if err == nil && form["file"].isFile && len(files) == 0 {
			t.Fatal("a file is in the form, but was never given out")
		}
		for name, v := range form {
			if !utf8.ValidString(v.text) || !utf8.ValidString(v.filename) || !utf8.ValidString(name) {
				t.Fatalf("%q: %+v is no text", name, v)
			}
		}
	})
}

// FuzzDisposition writes a name as Go and browsers do and reads it back.
func FuzzDisposition(f *testing.F) {
	for _, name := range []string{"a.txt", `a"b`, `a\b`, "ä;=x", "", "../.."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := parseDisposition(name)
		if !utf8.ValidString(d.filename) || !utf8.ValidString(d.name) {
			t.Fatalf("%q gives %+v", name, d)
		}
		if !utf8.ValidString(name) || strings.ContainsAny(name, "\r\n\x00") {
			return
		}
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
		if got := parseDisposition(`form-data; name="file"; filename="` + quoted + `"`); got.filename != name {
			t.Fatalf("%q comes back as %q", name, got.filename)
		}
	})
}

func FuzzParseUUID(f *testing.F) {
	for _, s := range []string{
		"0d6bd0b6-3d7d-4d5e-8e4c-1f2a3b4c5d6e", "{0D6BD0B6-3D7D-4D5E-8E4C-1F2A3B4C5D6E}", "urn:uuid:0d6bd0b6-3d7d-4d5e-8e4c-1f2a3b4c5d6e",
		"0d6bd0b63d7d4d5e8e4c1f2a3b4c5d6e", "", "x", "{", "{}", "urn:uuid:", "ä",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseUUID(s)
		if !ok {
			if flaw := uuidFlaw(s); flaw == "" {
				t.Fatal("refused without a reason")
			}
			return
		}
		if again, ok := parseUUID(id); !ok || again != id || len(id) != 36 || strings.ToLower(id) != id {
			t.Fatalf("%q is read as %q, and that as %q", s, id, again)
		}
	})
}

func TestParseUUID(t *testing.T) {
	t.Parallel()
	const id = "0d6bd0b6-3d7d-4d5e-8e4c-1f2a3b4c5d6e"
	for _, s := range []string{
		id, strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, "URN:UUID:" + strings.ToUpper(id), strings.ReplaceAll(id, "-", ""),
	} {
		if got, ok := parseUUID(s); !ok || got != id {
			t.Errorf("%q: %q, %v", s, got, ok)
		}
	}
	for s, flaw := range map[string]string{
		"x":                                    "invalid character: found `x` at 1",
		"12g4":                                 "invalid character: found `g` at 3",
		"ä":                                    "invalid character: found `ä` at 1",
		"":                                     "invalid length: expected length 32 for simple format, found 0",
		"1234":                                 "invalid length: expected length 32 for simple format, found 4",
		"{1234}":                               "invalid group count: expected 5, found 1",
		id + "0":                               "invalid group length in group 4: expected 12, found 13",
		"0d6bd0b-63d7d-4d5e-8e4c-1f2a3b4c5d6e": "invalid group length in group 0: expected 8, found 7",
		"0d6bd0b6-3d7d-4d5e8e4c-1f2a3b4c5d6e0": "invalid group count: expected 5, found 4",
		"{" + strings.ReplaceAll(id, "-", "") + "}": "invalid group count: expected 5, found 1",
		"../../etc/passwd":                          "invalid character: found `.` at 1",
	} {
		if got, ok := parseUUID(s); ok {
			t.Errorf("%q is read as %q", s, got)
		}
		equal(t, uuidFlaw(s), flaw)
	}
}

// TestFormsOfTheLibrary reads what Go's own writer makes.
func TestFormsOfTheLibrary(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	noError(t, w.WriteField("tag", "x"))
	p, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", `we"ird\name.txt`)}, "Content-Type": {"text/plain"},
	})
	noError(t, err)
	_, err = io.WriteString(p, "hello")
	noError(t, err)
	noError(t, w.Close())
	f, files, err := readTaken(w.FormDataContentType(), &b)
	noError(t, err)
	equal(t, f["tag"].text, "x")
	equal(t, fmt.Sprint(files), fmt.Sprint([]taken{{`we"ird\name.txt`, "text/plain", "hello"}}))
}
