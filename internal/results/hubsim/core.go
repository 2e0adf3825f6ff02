package hubsim

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// The records that every hub has.
const (
	masterRealm = "0b7ea4b4-6b0d-4a55-9d0f-0d2f6f0a7f01"
	masterImage = "0b7ea4b4-6b0d-4a55-9d0f-0d2f6f0a7f02"
	registry    = "0b7ea4b4-6b0d-4a55-9d0f-0d2f6f0a7f03"
	robot       = "0b7ea4b4-6b0d-4a55-9d0f-0d2f6f0a7f04"
)

var required = map[string][]string{
	"projects":              {"name"},
	"analyses":              {"project_id"},
	"nodes":                 {"name"},
	"analysis-bucket-files": {"name", "external_id", "bucket_id"},
}

// derive gives the id that follows from others, the same in every process.
func derive(parts ...string) string {
	return uuid.NewSHA1(uuid.MustParse(masterRealm), []byte(strings.Join(parts, ":"))).String()
}

func (s *Sim) seed() {
	s.add("realms", map[string]any{
		"id": masterRealm, "name": "master", "display_name": nil, "description": nil, "built_in": true,
	})
	s.add("master-images", map[string]any{
		"id": masterImage, "path": "python/base", "virtual_path": "python/base", "group_virtual_path": "python",
		"name": "base", "command": nil, "command_arguments": []any{},
	})
}

// add makes a record with the times that all have. The lock is held, or nobody else knows s yet.
func (s *Sim) add(resource string, v map[string]any) *row {
	at := s.now().UTC().Format("2006-01-02T15:04:05.000Z")
	v["created_at"], v["updated_at"] = at, at
	return s.tables[resource].add(v)
}

// see makes the analysis exist, unless it was deleted. The lock is held.
func (s *Sim) see(id string) {
	if u, err := uuid.Parse(id); err != nil || u.String() != id || s.gone[id] || s.tables["analyses"].byID[id] != nil {
		return
	}
	s.addAnalysis(map[string]any{"id": id, "project_id": derive("project", id)})
}

func (s *Sim) addAnalysis(given map[string]any) *row {
	v := map[string]any{
		"name": nil, "description": nil, "master_image_id": masterImage, "registry_id": registry,
		"image_command_arguments": []any{}, "configuration_locked": false, "nodes": 0,
		"build_status": nil, "run_status": nil, "realm_id": masterRealm, "user_id": robot,
	}
	maps.Copy(v, given)
	id, project := fmt.Sprint(v["id"]), fmt.Sprint(v["project_id"])
	if s.tables["projects"].byID[project] == nil {
		s.addProject(map[string]any{"id": project, "name": "project-" + project[:min(8, len(project))]})
	}
	r := s.add("analyses", v)
	for _, typ := range []string{"CODE", "RESULT", "TEMP"} {
		storage := derive("storage", id, typ)
		s.add("analysis-buckets", map[string]any{
			"id": derive("bucket", id, typ), "type": typ, s.storageKey(): storage, "analysis_id": id, "realm_id": masterRealm,
		})
		s.add("buckets", map[string]any{
			"id": storage, "name": storage, "region": nil, "actor_id": robot, "actor_type": "robot", "realm_id": masterRealm,
		})
	}
	return r
}

func (s *Sim) addProject(given map[string]any) *row {
	v := map[string]any{
		"description": nil, "master_image_id": masterImage, "analyses": 0, "nodes": 0,
		"realm_id": masterRealm, "user_id": robot, "robot_id": nil,
	}
	maps.Copy(v, given)
	return s.add("projects", v)
}

func (s *Sim) addNode(given map[string]any) *row {
	v := map[string]any{
		"external_name": nil, "hidden": false, "realm_id": masterRealm, "registry_id": registry, "client_id": nil,
		"registry_project_id": nil, "type": "default", "public_key": nil, "online": true, "robot_id": robot,
	}
	maps.Copy(v, given)
	return s.add("nodes", v)
}

// AddNode makes a node known under the id with the public key, PEM or hex; empty is none.
func (s *Sim) AddNode(id, publicKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := map[string]any{"id": id, "name": "node-" + id}
	if publicKey != "" {
		v["public_key"] = asHex(publicKey)
	}
	s.addNode(v)
}

// asHex stores a key as the hub does: what is not hex yet becomes it.
func asHex(key string) string {
	if _, err := hex.DecodeString(key); err == nil {
		return key
	}
	return hex.EncodeToString([]byte(key))
}

func (s *Sim) handleList(w http.ResponseWriter, r *http.Request) {
	resource := r.PathValue("resource")
	s.mu.Lock()
	t, ok := s.tables[resource]
	if !ok {
		s.mu.Unlock()
		s.refuse(w, http.StatusNotFound, "NOT_FOUND", "There is no such route.")
		return
	}
	q := r.URL.Query()
	s.see(q.Get("filter[analysis_id]"))
	s.see(q.Get("filter[analysisId]"))
	if resource == "analyses" {
		s.see(q.Get("filter[id]"))
	}
	rows, total, limit, offset := t.query(q, s.inCamel())
	shown := make([]map[string]any, len(rows))
	for i, r := range rows {
		shown[i] = s.show(resource, r)
	}
	s.mu.Unlock()
	s.list(w, http.StatusOK, shown, total, limit, offset)
}

// show copies a record for an answer. The lock is held.
func (s *Sim) show(resource string, r *row) map[string]any {
	v := maps.Clone(r.v)
	if resource == "analysis-buckets" {
		shown, _ := r.v["shown"].(int)
		r.v["shown"] = shown + 1
		delete(v, "shown")
		if shown < s.opts.ProvisionAfter {
			v[s.storageKey()] = nil
		}
	}
	return v
}

func (s *Sim) handleGet(w http.ResponseWriter, r *http.Request) {
	resource, id := r.PathValue("resource"), r.PathValue("id")
	s.mu.Lock()
	if resource == "analyses" {
		s.see(id)
	}
	var v map[string]any
	if t := s.tables[resource]; t != nil && t.byID[id] != nil {
		v = s.show(resource, t.byID[id])
	}
	s.mu.Unlock()
	if v == nil {
		s.notFound(w)
		return
	}
	s.one(w, http.StatusOK, v)
}

func (s *Sim) notFound(w http.ResponseWriter) {
	s.refuse(w, http.StatusNotFound, "ENTITY_NOT_FOUND", "The entity was not found.")
}

func (s *Sim) body(w http.ResponseWriter, r *http.Request) (map[string]any, bool) {
	var v map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&v); err != nil {
		s.refuse(w, http.StatusBadRequest, "BAD_REQUEST", "The body is not valid.")
		return nil, false
	}
	if s.inCamel() {
		v = snakeKeys(v)
	}
	if key, given := v["public_key"].(string); given {
		if len(key) < 5 || len(key) > 4096 {
			s.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "The public key must be 5 to 4096 characters long.")
			return nil, false
		}
		v["public_key"] = asHex(key)
	}
	return v, true
}

func (s *Sim) handleCreate(w http.ResponseWriter, r *http.Request) {
	resource := r.PathValue("resource")
	v, ok := s.body(w, r)
	if !ok {
		return
	}
	for _, key := range required[resource] {
		if text, _ := v[key].(string); text == "" {
			s.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "The key "+key+" is missing.")
			return
		}
	}
	// The real hub gives the ids; here a test may choose them.
	if id, err := uuid.Parse(fmt.Sprint(v["id"])); err == nil {
		v["id"] = id.String()
	} else {
		v["id"] = uuid.NewString()
	}
	s.mu.Lock()
	var made *row
	problem := ""
	switch t := s.tables[resource]; {
	case t != nil && t.byID[fmt.Sprint(v["id"])] != nil:
		problem = "The id is taken."
	case resource == "projects":
		made = s.addProject(v)
	case resource == "analyses":
		made = s.addAnalysis(v)
	case resource == "nodes":
		made = s.addNode(v)
	case resource == "analysis-bucket-files":
		made, problem = s.link(v)
	default:
		problem = "This resource cannot be created."
	}
	var shown map[string]any
	if made != nil {
		shown = maps.Clone(made.v)
	}
	s.mu.Unlock()
	if problem != "" {
		s.refuse(w, http.StatusBadRequest, "BAD_REQUEST", problem)
		return
	}
	s.one(w, http.StatusCreated, shown)
}

// link makes a file known to core, as a client of generation a asks. The lock is held.
func (s *Sim) link(v map[string]any) (*row, string) {
	if s.linksItself() {
		return nil, "The hub links uploads itself."
	}
	bucket := s.tables["analysis-buckets"].byID[fmt.Sprint(v["bucket_id"])]
	if bucket == nil {
		return nil, "The bucket is not known."
	}
	if f := s.files[fmt.Sprint(v["external_id"])]; f != nil {
		f.linkedAt = s.now()
	}
	return s.add("analysis-bucket-files", map[string]any{
		"id": v["id"], "name": v["name"], "external_id": v["external_id"], "bucket_id": v["bucket_id"],
		"root": v["root"] == true, "analysis_id": bucket.v["analysis_id"], "realm_id": masterRealm,
		"user_id": nil, "robot_id": robot,
	}), ""
}

func (s *Sim) handleUpdate(w http.ResponseWriter, r *http.Request) {
	v, ok := s.body(w, r)
	if !ok {
		return
	}
	resource := r.PathValue("resource")
	if !slices.Contains([]string{"nodes", "projects", "analyses"}, resource) {
		s.notFound(w)
		return
	}
	delete(v, "id")
	s.mu.Lock()
	var shown map[string]any
	if found := s.tables[resource].byID[r.PathValue("id")]; found != nil {
		maps.Copy(found.v, v)
		shown = maps.Clone(found.v)
	}
	s.mu.Unlock()
	if shown == nil {
		s.notFound(w)
		return
	}
	s.one(w, http.StatusAccepted, shown)
}

func (s *Sim) handleDelete(w http.ResponseWriter, r *http.Request) {
	resource, id := r.PathValue("resource"), r.PathValue("id")
	s.mu.Lock()
	var shown map[string]any
	if t := s.tables[resource]; t != nil && t.byID[id] != nil {
		shown = maps.Clone(t.byID[id].v)
		t.remove(t.byID[id])
		if resource == "analyses" {
			s.gone[id] = true
			buckets := s.tables["analysis-buckets"]
			for _, b := range slices.Clone(buckets.where("analysis_id", id)) {
				buckets.remove(b)
			}
		}
	}
	s.mu.Unlock()
	if shown == nil {
		s.notFound(w)
		return
	}
	s.one(w, http.StatusAccepted, shown)
}
