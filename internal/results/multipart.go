package results

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"lodge/internal/fault"
	"lodge/internal/httpapi"
)

const (
	maxParts = 1000    // of each kind, files and texts
	maxText  = 1 << 20 // bytes of one text
	bodyRead = 64 << 10
)

var (
	errNoBoundary = fault.New(fault.Invalid, "Missing boundary in multipart.")
	errBadBody    = fault.New(fault.Invalid, "There was an error parsing the body")
	errLongText   = fault.New(fault.Invalid, "Part exceeded maximum size of %dKB.", maxText>>10)
	errNoPartName = fault.New(fault.Invalid, `The Content-Disposition header field "name" must be provided.`)
	errManyFiles  = fault.New(fault.Invalid, "Too many files. Maximum number of files is %d.", maxParts)
	errManyTexts  = fault.New(fault.Invalid, "Too many fields. Maximum number of fields is %d.", maxParts)
)

// part is an uploaded file while it streams in.
type part struct {
	filename    string
	contentType string
	body        io.Reader
}

// field is the last value of a name in a form: a text, or a file.
type field struct {
	text        string
	isFile      bool
	filename    string
	contentType string
}

// form holds the fields of a request's body. The last of several values counts.
type form map[string]field

// readForm reads a whole body. Every part named "file" that is a file is given to take as it streams
// in, in its place among the fields: what was sent before it is in the form already, the rest follows.
// A body of another type has no fields, and one that is cut off has none either: half a form must not
// be mistaken for a whole one.
func readForm(r *http.Request, take func(form, part) error) (form, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if errors.Is(err, mime.ErrInvalidMediaParameter) {
		params = nil
	}
	switch {
	case kind == "multipart/form-data" && params["boundary"] == "":
		return nil, errNoBoundary
	case kind == "multipart/form-data":
		f, err := readParts(r.Body, params["boundary"], take)
		if errors.Is(err, errCutOff) {
			return form{}, nil
		}
		return f, err
	case kind == "application/x-www-form-urlencoded":
		return readURLEncoded(r.Body)
	default:
		return form{}, nil
	}
}

// errCutOff says that the body ended before the form did.
var errCutOff = errors.New("the form is cut off")

func readParts(body io.Reader, boundary string, take func(form, part) error) (form, error) {
	tail := &tailReader{r: body, keep: len(boundary) + 256} // room for an epilogue
	buffered := bufio.NewReaderSize(tail, bodyRead)
	if err := checkBeginning(buffered, boundary); err != nil {
		return nil, err
	}
	reader := multipart.NewReader(buffered, boundary)
	f := form{}
	files, texts := 0, 0
	for {
		p, err := reader.NextRawPart()
		if err != nil && tail.ended && !bytes.Contains(tail.last, []byte("--"+boundary+"--")) {
			return nil, errCutOff // whatever the library makes of what is left
		}
		if err == io.EOF { // the bare value, as the library returns it at the end of the form
			return f, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
		d := parseDisposition(p.Header.Get("Content-Disposition"))
		if !d.hasName {
			return nil, errNoPartName
		}
		if !d.hasFilename {
			if texts++; texts > maxParts {
				return nil, errManyTexts
			}
			text, err := readText(p)
			if err != nil {
				return nil, err
			}
			f[d.name] = field{text: text}
			continue
		}
		if files++; files > maxParts {
			return nil, errManyFiles
		}
		src := &partReader{r: p}
		file := part{filename: d.filename, contentType: partType(p.Header.Get("Content-Type")), body: src}
		if d.name == "file" {
			if err := take(f, file); err != nil {
				return nil, err
			}
		}
		if _, err := io.Copy(io.Discard, src); err != nil {
			return nil, err
		}
		f[d.name] = field{isFile: true, filename: file.filename, contentType: file.contentType}
	}
}

// tailReader remembers how a body ended.
type tailReader struct {
	r     io.Reader
	keep  int
	last  []byte
	ended bool
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.last = append(t.last, p[max(0, n-t.keep):n]...)
	t.last = append(t.last[:0], t.last[max(0, len(t.last)-t.keep):]...)
	t.ended = t.ended || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	return n, err
}

// checkBeginning refuses a body that does not begin with the boundary, as the original does; the
// library would search on for it.
func checkBeginning(body *bufio.Reader, boundary string) error {
	want := []byte("--" + boundary)
	for n := 1; ; n++ {
		got, err := body.Peek(n)
		if len(got) < n {
			if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
				return errCutOff
			}
			return bodyError(err)
		}
		if n == 1 && (got[0] == '\r' || got[0] == '\n') {
			if _, err := body.Discard(1); err != nil {
				return bodyError(err)
			}
			n = 0
			continue
		}
		if !bytes.HasPrefix(want, got) {
			return errBadBody
		}
		if len(got) == len(want) {
			return nil
		}
	}
}

func readText(p io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(p, maxText+1))
	if err != nil {
		return "", bodyError(err)
	}
	if len(raw) > maxText {
		return "", errLongText
	}
	return toText(string(raw)), nil
}

// partReader fills what it is given, because the library hands out small pieces, and turns the
// library's errors into ours.
type partReader struct {
	r   io.Reader
	err error
}

func (p *partReader) Read(b []byte) (n int, err error) {
	for n < len(b) && p.err == nil {
		var m int
		m, p.err = p.r.Read(b[n:])
		n += m
	}
	if p.err != nil && p.err != io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
		p.err = bodyError(p.err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, p.err
}

// bodyError tells a body that is cut off, and one that did not come at all, from one that is no form.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errCutOff
	case errors.Is(err, httpapi.ErrStalled), errors.As(err, &tooLarge), errors.Is(err, errCutOff):
		return err
	default:
		return fault.Wrap(err, fault.Invalid, "There was an error parsing the body")
	}
}

// partType keeps a part's media type if it can be stored and sent back as a header.
func partType(header string) string {
	if header == "" || len(header) > 255 || strings.ContainsFunc(header, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "application/octet-stream"
	}
	return header
}

func readURLEncoded(body io.Reader) (form, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxText+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if len(raw) > maxText {
		return nil, errLongText
	}
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, errBadBody
	}
	f := form{}
	for name, all := range values {
		f[toText(name)] = field{text: toText(all[len(all)-1])}
	}
	return f, nil
}

// checkFile finds out whether the form has a file.
func (f form) checkFile() []fault.Field {
	v, ok := f["file"]
	switch {
	case !ok:
		return []fault.Field{missingField("body", "file")}
	case !v.isFile:
		return []fault.Field{{
			Loc: []string{"body", "file"}, Type: "value_error",
			Message: "Value error, Expected UploadFile, received: <class 'str'>", Input: v.text,
		}}
	}
	return nil
}

// text gives an optional text; nil when it was not sent. An empty text was sent.
func (f form) text(name string) (*string, []fault.Field) {
	v, ok := f[name]
	switch {
	case !ok:
		return nil, nil
	case v.isFile:
		return nil, []fault.Field{{
			Loc: []string{"body", name}, Type: "string_type", Message: "Input should be a valid string",
			Input: map[string]any{"filename": v.filename, "headers": map[string]any{"content-type": v.contentType}},
		}}
	}
	return &v.text, nil
}

// number gives a required number.
func (f form) number(name string) (float64, []fault.Field) {
	text, findings := f.text(name)
	switch {
	case findings != nil:
		return 0, findings
	case text == nil:
		return 0, []fault.Field{missingField("body", name)}
	}
	n, ok := parseFloat([]byte(*text))
	if !ok {
		return 0, []fault.Field{{
			Loc: []string{"body", name}, Type: "float_parsing",
			Message: "Input should be a valid number, unable to parse string as a number", Input: *text,
		}}
	}
	return n, nil
}

// invalid joins what was found wrong with a request; nil if nothing was.
func invalid(findings ...[]fault.Field) error {
	var all []fault.Field
	for _, f := range findings {
		all = append(all, f...)
	}
	if len(all) == 0 {
		return nil
	}
	return fault.InvalidFields(all...)
}
