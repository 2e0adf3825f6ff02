package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
)

// document is an OpenAPI document in the making: one mount's, or the union of all.
type document struct {
	api      *huma.OpenAPI
	registry registry
	ids      map[string]bool
}

// newDocument begins a document with what every one has.
func (s *Server) newDocument(m Mount) *document {
	reg := newRegistry()
	title, version := m.Title, m.Version
	orDefault(&title, m.Name)
	orDefault(&version, "0")
	return &document{
		registry: reg, ids: map[string]bool{},
		api: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: title, Version: version, Description: m.Description},
			Paths:   map[string]*huma.PathItem{},
			Components: &huma.Components{Schemas: reg.Registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A token of a trusted issuer, or a service token"},
				"cookie": {Type: "apiKey", In: "cookie", Name: "lodge_session", Description: "The session of the browser; writes need a same-origin request"},
				"oidc":   {Type: "openIdConnect", OpenIDConnectURL: s.cfg.OpenIDConnectURL},
			}},
		},
	}
}

// documentFor describes what stands under one prefix; the root's document has everything.
func (s *Server) documentFor(t *tree) *document {
	d := s.newDocument(t.owner)
	if t.prefix != "" {
		d.api.Servers = []*huma.Server{{URL: t.prefix}}
	}
	for _, m := range s.mounts {
		if m.Prefix != t.prefix && t.prefix != "" {
			continue
		}
		for _, route := range m.Routes {
			d.add(m, route, strings.TrimPrefix(m.Prefix, t.prefix)+route.Path)
		}
	}
	return d
}

func (d *document) add(m Mount, route Route, path string) {
	op := d.operation(m, route)
	if d.ids[op.OperationID] {
		op.OperationID = m.Name + strings.ToUpper(op.OperationID[:1]) + op.OperationID[1:]
	}
	d.ids[op.OperationID] = true
	path = strings.ReplaceAll(path, "...}", "}")
	item := d.api.Paths[path]
	if item == nil {
		item = &huma.PathItem{}
		d.api.Paths[path] = item
	}
	switch route.Method {
	case http.MethodGet:
		item.Get = op
	case http.MethodPost:
		item.Post = op
	case http.MethodPut:
		item.Put = op
	case http.MethodPatch:
		item.Patch = op
	case http.MethodDelete:
		item.Delete = op
	}
}

// operation describes one route. It panics where the route's types cannot be described; checkDoc
// finds that out when the route is mounted.
func (d *document) operation(m Mount, route Route) *huma.Operation {
	doc := route.Doc
	op := &huma.Operation{
		OperationID: doc.ID, Summary: doc.Summary, Description: doc.Description, Tags: doc.Tags,
		Responses:  map[string]*huma.Response{},
		Extensions: map[string]any{"x-lodge-action": route.Action, "x-lodge-group": groupWord(route)},
	}
	orDefault(&op.OperationID, defaultID(route))
	if op.Tags == nil {
		op.Tags = []string{m.Name}
	}
	if route.Action != Public {
		op.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}, {"oidc": {}}}
	}
	if doc.Request != nil {
		p, err := newPlan(reflect.TypeOf(doc.Request), d.registry)
		if err != nil {
			panic(err)
		}
		d.describeRequest(op, p)
	}
	if doc.Form != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"multipart/form-data": {Schema: d.registry.Schema(reflect.TypeOf(doc.Form), true, op.OperationID+"Form")},
		}}
	}
	d.describePath(op, route.Path)
	d.describeSuccess(op, doc)
	d.describeErrors(op, m, route)
	return op
}

// groupWord says where the group comes from that the action must be permitted on.
func groupWord(route Route) string {
	switch {
	case route.Action == Public:
		return "none"
	case route.InService:
		return "object"
	case route.Group != nil:
		return "request"
	default:
		return Site
	}
}

// defaultID makes "getUsersByName" of GET /users/{name}.
func defaultID(route Route) string {
	var id strings.Builder
	id.WriteString(strings.ToLower(route.Method))
	for word := range strings.FieldsFuncSeq(route.Path, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '{' }) {
		if name, ok := strings.CutPrefix(word, "{"); ok {
			word = name
			id.WriteString("By")
		}
		if word != "" {
			id.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return id.String()
}

func (d *document) describeRequest(op *huma.Operation, p *plan) {
	for _, par := range p.params {
		schema := *par.schema
		schema.Description = ""
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: par.name, In: par.in, Description: par.field.Tag.Get("doc"), Required: par.required, Schema: &schema,
		})
	}
	if p.body != nil {
		op.RequestBody = &huma.RequestBody{Required: !p.body.optional, Content: map[string]*huma.MediaType{
			"application/json": {Schema: p.body.schema},
		}}
	}
}

// describePath adds the wildcards that the request type does not mention.
func (d *document) describePath(op *huma.Operation, path string) {
	for _, name := range wildcards(path) {
		known := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "path" && p.Name == name })
		if !known {
			op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
	}
}

// wildcards are the names in a path such as "/users/{name}/files/{path...}".
func wildcards(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return names
}

func (d *document) describeSuccess(op *huma.Operation, doc Doc) {
	status := doc.Status
	if status == 0 {
		status = http.StatusOK
		if doc.Response == nil && doc.Stream == "" {
			status = http.StatusNoContent
		}
	}
	response := &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{}}
	if doc.Response != nil {
		schema := d.registry.Schema(reflect.TypeOf(doc.Response), true, op.OperationID+"Response")
		if schema.Type == huma.TypeArray {
			schema.Nullable = false // an empty list is a list
		}
		response.Content["application/json"] = &huma.MediaType{Schema: schema}
	}
	for media := range strings.SplitSeq(doc.Stream, ",") {
		if media = strings.TrimSpace(media); media == "" {
			continue
		}
		schema := &huma.Schema{Type: huma.TypeString}
		if !strings.HasPrefix(media, "text/") {
			schema.Format = "binary"
		}
		response.Content[media] = &huma.MediaType{Schema: schema}
	}
	op.Responses[strconv.Itoa(status)] = response
}

func (d *document) describeErrors(op *huma.Operation, m Mount, route Route) {
	shape := m.ProblemDoc
	if shape == nil {
		shape = Problem{}
	}
	statuses := append([]int{http.StatusInternalServerError}, route.Doc.Errors...)
	if route.Action != Public {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden)
	}
	if route.Doc.Request != nil || route.Doc.Form != nil {
		statuses = append(statuses, http.StatusBadRequest)
	}
	schema := d.registry.Schema(reflect.TypeOf(shape), true, m.Name+"Problem")
	for _, status := range statuses {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
		}
	}
}

// checkDoc finds out at start what would make the document or the decoding of requests fail later.
func (s *Server) checkDoc(m Mount, route Route) (err error) {
	if route.Doc.Request != nil {
		t := reflect.TypeOf(route.Doc.Request)
		p, err := s.plan(t)
		if err != nil {
			return err
		}
		names := wildcards(route.Path)
		for _, par := range p.params {
			if par.in == "path" && !slices.Contains(names, par.name) {
				return fmt.Errorf("request type %s reads {%s}, which the path has not", t, par.name)
			}
		}
		if p.body != nil && route.Doc.Form != nil {
			return errors.New("a body is either JSON or a form")
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the route cannot be described: %v", p)
		}
	}()
	s.newDocument(m).operation(m, route)
	return nil
}

// json is the document as it is served.
func (d *document) json() ([]byte, error) {
	text, err := json.Marshal(d.api)
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return text, nil
}

// Schema describes an uploaded file.
func (File) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "binary"}
}
