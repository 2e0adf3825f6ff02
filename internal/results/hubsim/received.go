package hubsim

import (
	"net/http"
	"os"
	"slices"
	"time"
)

// Received is a file that the hub has or had.
type Received struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Path        string `json:"path"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	ContentType string `json:"content_type"`
	// Bucket is CODE, RESULT or TEMP; BucketID is the storage bucket.
	Bucket     string `json:"bucket"`
	BucketID   string `json:"bucket_id"`
	AnalysisID string `json:"analysis_id"`
	ProjectID  string `json:"project_id"`
	// Linked is how many links core has to it: 1 when all went well.
	Linked int `json:"linked"`
	// Uploads is how often a file came under this path: 1 when all went well.
	Uploads    int        `json:"uploads"`
	Deleted    bool       `json:"deleted,omitempty"`
	UploadedAt time.Time  `json:"uploaded_at"`
	LinkedAt   *time.Time `json:"linked_at"`
}

// Received lists what was uploaded, oldest first.
func (s *Sim) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Received, 0, len(s.order))
	for _, f := range s.order {
		out = append(out, s.received(f))
	}
	return out
}

// received describes one file. The lock is held.
func (s *Sim) received(f *stored) Received {
	text := func(v any) string {
		t, _ := v.(string)
		return t
	}
	size, _ := f.row.v["size"].(int64)
	out := Received{
		ID: text(f.row.v["id"]), Name: text(f.row.v["name"]), Path: text(f.row.v["path"]), Size: size, SHA256: f.sha256,
		ContentType: f.contentType, BucketID: text(f.row.v["bucket_id"]), Uploads: f.uploads, UploadedAt: f.uploadedAt,
	}
	out.Deleted = s.files[out.ID] == nil
	key := "external_id"
	if s.linksItself() {
		key = "bucket_file_id"
	}
	out.Linked = len(s.tables["analysis-bucket-files"].where(key, out.ID))
	if !f.linkedAt.IsZero() {
		at := f.linkedAt
		out.LinkedAt = &at
	}
	if bucket := s.tables["analysis-buckets"].where(s.storageKey(), out.BucketID); len(bucket) > 0 {
		out.Bucket, out.AnalysisID = text(bucket[0].v["type"]), text(bucket[0].v["analysis_id"])
		if analysis := s.tables["analyses"].byID[out.AnalysisID]; analysis != nil {
			out.ProjectID = text(analysis.v["project_id"])
		}
	}
	return out
}

// handleReceived lists what was received; the queries analysis, bucket and name choose from it.
func (s *Sim) handleReceived(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	other := func(query, have string) bool { return q.Has(query) && q.Get(query) != have }
	all := slices.DeleteFunc(s.Received(), func(f Received) bool {
		return other("analysis", f.AnalysisID) || other("bucket", f.Bucket) || other("name", f.Name)
	})
	writeJSON(w, http.StatusOK, all)
}

func (s *Sim) handleReceivedFile(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.files[r.PathValue("id")]
	s.mu.Unlock()
	if f == nil {
		s.notFound(w)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(w, r, f.disk)
}

// handleForget removes all files, as if none had come.
func (s *Sim) handleForget(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		_ = os.Remove(f.disk)
	}
	clear(s.files)
	s.order = nil
	empty := newTables(s.storageKey())
	for _, name := range []string{"bucket-files", "analysis-bucket-files"} {
		s.tables[name] = empty[name]
	}
	w.WriteHeader(http.StatusNoContent)
}
