package results

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/results/hub"
	"lodge/internal/work"
)

// stream is for bodies of any size: the service counts, and the edge drops clients that stall.
var stream = httpapi.Limits{Body: -1, Timeout: -1}

// routes is the original's API, in its words and order, then the successor's additions, then ours.
func (s *Service) routes() []httpapi.Route {
	final, intermediate, local := []string{"final"}, []string{"intermediate"}, []string{"local"}
	errs := []int{400, 404, 422, 502, 503, 504}
	routes := []httpapi.Route{
		s.route("PUT", "/final", Write, s.handlePutFinal, stream, httpapi.Doc{
			ID: "putFinalResult", Tags: final, Summary: "Submit a final result to the hub",
			Description: "204 means that the hub has it. 202 means that it is safe here and will be delivered; Location tells where to ask.",
			Request:     analysisQuery{}, Form: Body_putFinalResult{}, Errors: errs,
		}),
		s.route("PUT", "/final/localdp", Write, s.handlePutFinalDP, stream, httpapi.Doc{
			ID: "putFinalResultWithLocalDP", Tags: final, Summary: "Submit a number with local differential privacy",
			Description: "The file holds a single number. Noise for the epsilon and the sensitivity is added before it is stored or sent anywhere.",
			Request:     analysisQuery{}, Form: Body_putFinalResultWithLocalDP{}, Errors: append(errs, 429),
		}),
		s.route("PUT", "/intermediate", Write, s.handlePutIntermediate, stream, httpapi.Doc{
			ID: "putIntermediateResult", Tags: intermediate, Summary: "Send an intermediate result to the hub, encrypted for a node if one is named",
			Request: analysisQuery{}, Form: Body_putIntermediateResult{}, Response: IntermediateUploadResponse{}, Errors: errs,
		}),
		s.route("GET", "/intermediate/{object_id}", Read, s.handleGetIntermediate, stream, httpapi.Doc{
			ID: "getIntermediateResult", Tags: intermediate, Summary: "Read an intermediate result, decrypted if a node is named",
			Request: intermediatePath{}, Stream: octetStream, Errors: errs,
		}),
		s.route("PUT", "/local", Write, s.handlePutLocal, stream, httpapi.Doc{
			ID: "putLocalResult", Tags: local, Summary: "Store a local result",
			Request: projectQuery{}, Form: Body_putLocalResult{}, Response: LocalUploadResponse{}, Errors: append(errs, 413, 507),
		}),
		s.route("DELETE", "/local", Delete, s.handleDeleteLocal, httpapi.Limits{}, httpapi.Doc{
			ID: "deleteLocalResults", Tags: local, Summary: "Delete all local results of a project that the hub no longer has",
			Request: deletionQuery{}, Status: 200, Stream: "application/json", Errors: errs,
		}),
		s.route("GET", "/local/tags", Read, s.handleGetTags, httpapi.Limits{}, httpapi.Doc{
			ID: "getProjectTags", Tags: local, Summary: "List the tags of the project",
			Request: projectQuery{}, Response: LocalTagListResponse{}, Errors: []int{404, 502},
		}),
		s.route("GET", "/local/tags/{tag_name}", Read, s.handleGetTagged, httpapi.Limits{}, httpapi.Doc{
			ID: "getTaggedResults", Tags: local, Summary: "List the results with a tag, oldest first",
			Request: tagPath{}, Response: LocalTaggedResultListResponse{}, Errors: []int{404, 502},
		}),
		s.route("GET", "/local/{object_id}", Read, s.handleGetLocal, stream, httpapi.Doc{
			ID: "getLocalResult", Tags: local, Summary: "Read a local result, or a range of it",
			Request: objectPath{}, Stream: octetStream, Errors: []int{404, 422, 502},
		}),
		s.route("POST", "/local/tags", Write, s.handlePostTag, httpapi.Limits{}, httpapi.Doc{
			ID: "postLocalTag", Tags: local, Summary: "Give a stored result a tag",
			Request: tagQuery{}, Response: LocalTaggedResult{}, Errors: []int{400, 404, 422},
		}),
		s.route("PUT", "/local/upload", Write, s.handlePutLocalUpload, httpapi.Limits{Timeout: -1}, httpapi.Doc{
			ID: "putLocalUpload", Tags: local, Summary: "Send a stored result to another node, encrypted",
			Request: forwardQuery{}, Response: IntermediateUploadResponse{}, Errors: errs,
		}),
		{Method: "GET", Path: "/healthz", Action: httpapi.Public, Handle: handleHealth, Doc: httpapi.Doc{
			ID: "getHealth", Tags: []string{"health"}, Summary: "Say that the service is alive", Response: healthAnswer{},
		}},
	}
	return append(routes, s.consoleRoutes()...)
}

// route is a route whose group only the service knows. Callers who can have nothing to do here are
// refused before the handler looks at the request.
func (s *Service) route(method, path string, action access.Action, handle httpapi.Handler, limits httpapi.Limits, doc httpapi.Doc) httpapi.Route {
	return httpapi.Route{
		Method: method, Path: path, Action: string(action), InService: true, Limits: limits, Doc: doc,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			if err := s.admit(r.Context(), action); err != nil {
				return err
			}
			return handle(w, r)
		},
	}
}

func handleHealth(w http.ResponseWriter, _ *http.Request) error {
	return httpapi.JSON(w, http.StatusOK, healthAnswer{"ok"})
}

func (s *Service) handlePutFinal(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	who, err := s.author(ctx, hub.Result, r.URL.Query().Get("analysis_id"))
	if err != nil {
		return err
	}
	if s.cfg.NoQueue {
		return s.putFinalAtOnce(w, r, who)
	}
	d, take := s.receive(ctx, kindFinal, finalKey, func(_ form, p part) error { return checkName(p.filename, maxFilename) })
	defer func() { s.discard(ctx, d.key) }()
	f, err := readForm(r, take)
	if err == nil {
		err = invalid(f.checkFile())
	}
	if err != nil {
		return err
	}
	sub, err := s.submit(ctx, who, uploadFinal, d)
	if err != nil {
		return err
	}
	return s.writeSubmission(w, r, sub)
}

func (s *Service) putFinalAtOnce(w http.ResponseWriter, r *http.Request, who actor) error {
	_, c, release, err := s.spoolForm(r)
	if err != nil {
		return err
	}
	defer release()
	if err := s.sendFinal(r.Context(), who, c); err != nil {
		return bucketMissing(err, hub.Result, who.analysis)
	}
	return httpapi.NoContent(w)
}

// writeSubmission answers 204 for what the hub has, 202 for what waits.
func (s *Service) writeSubmission(w http.ResponseWriter, r *http.Request, sub submission) error {
	if !sub.Waits {
		return httpapi.NoContent(w)
	}
	u, err := s.store.upload(r.Context(), s.store.db, sub.ID)
	if err != nil {
		return err
	}
	if sub.Why != "" && u.State() == stateSending {
		u.WorkState, u.LastError = work.Queued, sub.Why // the worker is about to write that down
	}
	info := s.uploadInfo(r, u)
	w.Header().Set("Location", info.URL)
	return httpapi.JSON(w, http.StatusAccepted, info)
}

func (s *Service) handlePutFinalDP(w http.ResponseWriter, r *http.Request) error {
	who, err := s.author(r.Context(), hub.Result, r.URL.Query().Get("analysis_id"))
	if err != nil {
		return err
	}
	var filename, raw string
	f, err := readForm(r, func(_ form, p part) error {
		text, err := io.ReadAll(io.LimitReader(p.body, maxNumber+1))
		filename, raw = p.filename, string(text)
		return errors.Join(err, checkName(filename, maxFilename))
	})
	if err != nil {
		return err
	}
	epsilon, wrongEpsilon := f.number("epsilon")
	sensitivity, wrongSensitivity := f.number("sensitivity")
	if err := invalid(f.checkFile(), wrongEpsilon, wrongSensitivity); err != nil {
		return err
	}
	text, err := noised(raw, privacy{epsilon, sensitivity})
	if err != nil {
		return err
	}
	sub, err := s.submitNumber(r.Context(), who, filename, text)
	if err != nil {
		return bucketMissing(err, hub.Result, who.analysis)
	}
	return s.writeSubmission(w, r, sub)
}

func (s *Service) handlePutIntermediate(w http.ResponseWriter, r *http.Request) error {
	if s.hub == nil {
		return errNoHub
	}
	who, err := s.author(r.Context(), hub.Temp, r.URL.Query().Get("analysis_id"))
	if err != nil {
		return err
	}
	f, c, release, err := s.spoolForm(r)
	if err != nil {
		return err
	}
	defer release()
	node, wrong := f.text("remote_node_id")
	if err := invalid(wrong); err != nil {
		return err
	}
	id, err := s.putIntermediate(r.Context(), who, node, c)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, IntermediateUploadResponse{s.base(r) + "/intermediate/" + id, id})
}

// spoolForm reads a form whose file goes to the hub while the caller waits. The file is spooled first,
// because the fields after it count too and a body that is cut off must leave nothing on the hub.
func (s *Service) spoolForm(r *http.Request) (form, content, func(), error) {
	var last *spool
	var c content
	release := func() {
		if last != nil {
			_ = last.Close() // it has no name: nothing of it stays
		}
	}
	f, err := readForm(r, func(_ form, p part) error {
		if err := checkName(p.filename, maxFilename); err != nil {
			return err
		}
		release()
		last = newSpool(s.cfg.TempDir)
		c = content{filename: p.filename, contentType: p.contentType}
		return last.fill(&limitedBody{r: p.body, max: s.cfg.MaxUploadSize})
	})
	if err == nil {
		_, wrong := f.text("remote_node_id")
		err = invalid(f.checkFile(), wrong)
	}
	if err != nil {
		release()
		return nil, content{}, nil, err
	}
	c.size = last.size
	c.open = func() (io.Reader, error) { return last.reader(), nil }
	return f, c, release, nil
}

func (s *Service) handleGetIntermediate(w http.ResponseWriter, r *http.Request) error {
	id, err := pathUUID(r, "object_id")
	if err != nil {
		return err
	}
	var node *string
	for _, name := range []string{"remote_node_id", "node_id"} {
		if q := r.URL.Query(); q.Has(name) {
			node = new(q.Get(name))
		}
	}
	b, err := s.getIntermediate(r.Context(), id, node)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	w.Header().Set("Content-Type", octetStream)
	if b.size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(b.size, 10))
	}
	if r.Method == http.MethodHead {
		return nil
	}
	buf := make([]byte, bodyRead)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, b, buf); err != nil && r.Context().Err() == nil {
		return hubFault(err) // the edge breaks the connection off if the answer has begun
	}
	return nil
}

func (s *Service) handlePutLocal(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	who, err := s.acting(ctx, Write, r.URL.Query().Get("project_id"))
	if err != nil {
		return err
	}
	check := func(f form, filename string) error {
		tag, _ := f.text("tag")
		if tag == nil {
			return checkName(filename, maxFilename)
		}
		return errors.Join(checkTag(*tag), checkName(filename, maxTaggedName))
	}
	key := func(id string) string { return localKey(who.project, id) }
	d, take := s.receive(ctx, kindLocal, key, func(f form, p part) error { return check(f, p.filename) })
	defer func() { s.discard(ctx, d.key) }()
	f, err := readForm(r, take)
	if err != nil {
		return err
	}
	tag, wrong := f.text("tag")
	if err := invalid(f.checkFile(), wrong); err != nil {
		return err
	}
	if err := check(f, d.Filename); err != nil {
		return err
	}
	if err := s.storeLocal(ctx, who, d, tag); err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, LocalUploadResponse{s.localURL(r, d.ID), d.ID})
}

func (s *Service) handleDeleteLocal(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	project := q.Get("project_id")
	if !q.Has("project_id") {
		return fault.InvalidFields(missingField("query", "project_id"))
	}
	if _, ok := parseUUID(project); !ok && (s.hub != nil || project == "") {
		return fault.InvalidFields(badUUID("query", "project_id", project))
	}
	if err := s.deleteProject(r.Context(), project); err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, nil)
}

func (s *Service) handleGetTags(w http.ResponseWriter, r *http.Request) error {
	who, err := s.acting(r.Context(), Read, r.URL.Query().Get("project_id"))
	if err != nil {
		return err
	}
	tags, err := s.store.tags(r.Context(), who.project)
	if err != nil {
		return err
	}
	answer := LocalTagListResponse{Tags: make([]LocalTag, 0, len(tags))}
	for _, tag := range tags {
		answer.Tags = append(answer.Tags, LocalTag{tag, s.base(r) + "/local/tags/" + tag})
	}
	return httpapi.JSON(w, http.StatusOK, answer)
}

func (s *Service) handleGetTagged(w http.ResponseWriter, r *http.Request) error {
	who, err := s.acting(r.Context(), Read, r.URL.Query().Get("project_id"))
	if err != nil {
		return err
	}
	var list []taggedObject
	if tag := r.PathValue("tag_name"); checkTag(tag) == nil {
		if list, err = s.store.tagged(r.Context(), who.project, tag); err != nil {
			return err
		}
	}
	answer := LocalTaggedResultListResponse{Results: make([]LocalTaggedResult, 0, len(list))}
	for _, o := range list {
		answer.Results = append(answer.Results, LocalTaggedResult{o.filename, s.localURL(r, o.object)})
	}
	return httpapi.JSON(w, http.StatusOK, answer)
}

func (s *Service) handleGetLocal(w http.ResponseWriter, r *http.Request) error {
	id, err := pathUUID(r, "object_id")
	if err != nil {
		return err
	}
	f, _, err := s.findLocal(r.Context(), Read, id, canonicalOr(r.URL.Query().Get("project_id")))
	if err != nil {
		return err
	}
	return s.serve(w, r, f)
}

// serve sends a stored file or the range that is asked for. It can be resumed: its ETag is its checksum.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, f storedFile) error {
	body := s.objectReader(r.Context(), f)
	defer func() { _ = body.Close() }()
	if err := body.open(); fault.Is(err, fault.Missing) {
		s.log.ErrorContext(r.Context(), "a file's object is gone", "file", f.ID, "key", f.Key)
		return fault.Wrap(err, fault.Missing, "Object with ID %s does not exist", f.ID)
	} else if err != nil {
		return storeFault(err)
	}
	h := w.Header()
	h.Set("Content-Type", mediaType(f.ContentType))
	// What analyses store is theirs: a browser must not run it in our name.
	h.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(nameOr(lastElement(f.Filename), f.ID)))
	if f.SHA256 != "" {
		h.Set("ETag", `"`+f.SHA256+`"`)
	}
	http.ServeContent(&wholeWriter{w, body}, r, "", time.Time{}, body)
	if body.err != nil && r.Context().Err() == nil {
		return storeFault(body.err) // the edge breaks the connection off
	}
	return nil
}

func lastElement(filename string) string {
	return filename[strings.LastIndexAny(filename, `/\`)+1:]
}

// mediaType is the stored type; texts without a charset are sent as UTF-8, as the original does.
func mediaType(stored string) string {
	kind, params, err := mime.ParseMediaType(stored)
	switch {
	case stored == "":
		return octetStream
	case err == nil && strings.HasPrefix(kind, "text/") && params["charset"] == "":
		return stored + "; charset=utf-8"
	}
	return stored
}

func (s *Service) handlePostTag(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	id, wrong := queryUUID(q, "object_id")
	if !q.Has("tag_name") {
		wrong = append([]fault.Field{missingField("query", "tag_name")}, wrong...)
	}
	if err := invalid(wrong); err != nil {
		return err
	}
	filename, err := s.tagLocal(r.Context(), id, q.Get("tag_name"), q.Get("filename"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, LocalTaggedResult{filename, s.localURL(r, id)})
}

func (s *Service) handlePutLocalUpload(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	id, wrong := queryUUID(q, "object_id")
	if !q.Has("remote_node_id") {
		wrong = append(wrong, missingField("query", "remote_node_id"))
	}
	if err := invalid(wrong); err != nil {
		return err
	}
	object, err := s.putLocalUpload(r.Context(), id, q.Get("remote_node_id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, IntermediateUploadResponse{s.base(r) + "/intermediate/" + object, object})
}

func pathUUID(r *http.Request, name string) (string, error) {
	id, ok := parseUUID(r.PathValue(name))
	if !ok {
		return "", fault.InvalidFields(badUUID("path", name, r.PathValue(name)))
	}
	return id, nil
}

func queryUUID(q url.Values, name string) (string, []fault.Field) {
	if !q.Has(name) {
		return "", []fault.Field{missingField("query", name)}
	}
	id, ok := parseUUID(q.Get(name))
	if !ok {
		return "", []fault.Field{badUUID("query", name, q.Get(name))}
	}
	return id, nil
}

// base is where this API is, as the caller knows it, without the port that its scheme implies.
func (s *Service) base(r *http.Request) string {
	at := httpapi.PublicURL(r)
	if host, ok := strings.CutSuffix(at, ":80"); ok && strings.HasPrefix(at, "http://") && !strings.HasSuffix(host, ":") {
		at = host
	} else if host, ok := strings.CutSuffix(at, ":443"); ok && strings.HasPrefix(at, "https://") && !strings.HasSuffix(host, ":") {
		at = host
	}
	return at + s.cfg.Prefix
}

func (s *Service) localURL(r *http.Request, id string) string { return s.base(r) + "/local/" + id }
