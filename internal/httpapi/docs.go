package httpapi

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html docs.css
var docsFiles embed.FS

// documentRoutes are what every prefix has beside its mounts: openapi.json and docs. They are made
// at the first request, when all mounts are known.
func (s *Server) documentRoutes(t *tree) []Route {
	document := sync.OnceValues(func() (*rendered, error) { return render(s.documentFor(t)) })
	serve := func(write func(http.ResponseWriter, *http.Request, *rendered) error) Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			d, err := document()
			if err != nil {
				return err
			}
			return write(w, r, d)
		}
	}
	css, err := docsFiles.ReadFile("docs.css")
	if err != nil {
		panic(err) // it is embedded
	}
	asJSON := func(w http.ResponseWriter, _ *http.Request, d *rendered) error {
		w.Header().Set("Cache-Control", "no-cache")
		return writeJSON(w, http.StatusOK, d.json)
	}
	asPage := func(w http.ResponseWriter, r *http.Request, d *rendered) error {
		return d.page(w, strings.HasSuffix(r.URL.Path, "/"))
	}
	asStyle := func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, err := w.Write(css)
		return err
	}
	return []Route{
		{Method: "GET", Path: "/openapi.json", Action: Public, Handle: serve(asJSON)},
		{Method: "GET", Path: "/docs", Action: Public, Handle: serve(asPage)},
		{Method: "GET", Path: "/docs/docs.css", Action: Public, Handle: asStyle},
	}
}

// rendered is a document in both forms.
type rendered struct {
	json []byte
	// html is the page for the address without and with a slash, as its relative links need it.
	html [2][]byte
}

func render(d *document) (*rendered, error) {
	text, err := d.json()
	if err != nil {
		return nil, err
	}
	page, err := template.New("docs.html").Funcs(template.FuncMap{"schema": schemaText, "anchor": anchor}).ParseFS(docsFiles, "docs.html")
	if err != nil {
		return nil, fmt.Errorf("read the page template: %w", err)
	}
	out := &rendered{json: text}
	for i, base := range []string{"", "../"} {
		view := docsView{API: d.api, Base: base, Groups: groupsOf(d.api), Schemas: d.registry.Map()}
		var buf bytes.Buffer
		if err := page.Execute(&buf, view); err != nil {
			return nil, fmt.Errorf("render the page: %w", err)
		}
		out.html[i] = buf.Bytes()
	}
	return out, nil
}

// page answers with the page whose relative links fit the address with or without a slash.
func (d *rendered) page(w http.ResponseWriter, slash bool) error {
	body := d.html[0]
	if slash {
		body = d.html[1]
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-cache")
	_, err := w.Write(body)
	return err
}

// docsView is what the page shows.
type docsView struct {
	API     *huma.OpenAPI
	Base    string
	Groups  []docsGroup
	Schemas map[string]*huma.Schema
}

type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	*huma.Operation
	Method, Path, Action, Group string
}

// where says in words what x-lodge-group says in one.
var where = map[string]string{Site: "the site", "request": "the group that the request names", "object": "the group of the object"}

// groupsOf sorts the operations by their first tag, then by path.
func groupsOf(api *huma.OpenAPI) []docsGroup {
	byTag := map[string][]docsOperation{}
	for path, item := range api.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			action, _ := op.Extensions["x-lodge-action"].(string)
			group, _ := op.Extensions["x-lodge-group"].(string)
			tag := "general"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			byTag[tag] = append(byTag[tag], docsOperation{op, method, path, action, where[group]})
		}
	}
	groups := make([]docsGroup, 0, len(byTag))
	for tag, ops := range byTag {
		slices.SortFunc(ops, func(a, b docsOperation) int {
			if a.Path != b.Path {
				return strings.Compare(a.Path, b.Path)
			}
			return slices.Index(methods, a.Method) - slices.Index(methods, b.Method)
		})
		groups = append(groups, docsGroup{tag, ops})
	}
	slices.SortFunc(groups, func(a, b docsGroup) int { return strings.Compare(a.Name, b.Name) })
	return groups
}

// schemaText is a schema in a few words: "string", "list of User", "integer, 1 to 1000, default 50".
func schemaText(s *huma.Schema) string {
	if s == nil {
		return "anything"
	}
	if s.Ref != "" {
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	}
	if s.Type == huma.TypeArray {
		return "list of " + schemaText(s.Items)
	}
	words := []string{s.Type}
	if s.Type == "" {
		words[0] = "anything"
	}
	if s.Format != "" && s.Format != "int64" && s.Format != "double" {
		words[0] = s.Format
	}
	if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
		words = []string{"object of " + schemaText(values)}
	}
	if len(s.Enum) > 0 {
		words = append(words, "one of "+plain(s.Enum))
	}
	if s.Minimum != nil {
		words = append(words, fmt.Sprintf("from %v", *s.Minimum))
	}
	if s.Maximum != nil {
		words = append(words, fmt.Sprintf("to %v", *s.Maximum))
	}
	if s.MaxLength != nil {
		words = append(words, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.Pattern != "" {
		words = append(words, "like "+s.Pattern)
	}
	if s.Default != nil {
		words = append(words, "default "+plain(s.Default))
	}
	return strings.Join(words, ", ")
}

func plain(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.Trim(string(text), `[]`)
}

// anchor is the schema that a text of schemaText leads to, or "".
func anchor(s *huma.Schema) string {
	for s != nil {
		if s.Ref != "" {
			return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		}
		s = s.Items
	}
	return ""
}
