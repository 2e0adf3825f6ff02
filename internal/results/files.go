package results

import (
	"context"
	"net/http"

	"lodge/internal/httpapi"
)

// consoleRoutes are those that the console needs beyond the original's API.
func (s *Service) consoleRoutes() []httpapi.Route {
	files, uploads := []string{"files"}, []string{"uploads"}
	return []httpapi.Route{
		s.route("GET", "/files", Read, s.handleListFiles, httpapi.Limits{}, httpapi.Doc{
			ID: "listFiles", Tags: files, Summary: "List local results, newest first",
			Request: filesQuery{}, Response: httpapi.Page[FileInfo]{},
		}),
		s.route("DELETE", "/files/{id}", Delete, s.handleDeleteFile, httpapi.Limits{}, httpapi.Doc{
			ID: "deleteFile", Tags: files, Summary: "Delete a local result", Request: idPath{}, Errors: []int{404},
		}),
		s.route("GET", "/projects", Read, s.handleListProjects, httpapi.Limits{}, httpapi.Doc{
			ID: "listProjects", Tags: files, Summary: "Sum up local results by project",
			Request: httpapi.PageQuery{}, Response: httpapi.Page[ProjectInfo]{},
		}),
		s.route("GET", "/uploads", ReadUploads, s.handleListUploads, httpapi.Limits{}, httpapi.Doc{
			ID: "listUploads", Tags: uploads, Summary: "List uploads to the hub, newest first",
			Request: uploadsQuery{}, Response: httpapi.Page[UploadInfo]{},
		}),
		s.route("GET", "/uploads/{id}", ReadUploads, s.handleGetUpload, httpapi.Limits{}, httpapi.Doc{
			ID: "getUpload", Tags: uploads, Summary: "Tell how far an upload to the hub is", Request: idPath{}, Response: UploadInfo{}, Errors: []int{404},
		}),
		s.route("POST", "/uploads/{id}/retry", WriteUploads, s.handleRetryUpload, httpapi.Limits{}, httpapi.Doc{
			ID: "retryUpload", Tags: uploads, Summary: "Try an upload to the hub again now", Request: idPath{}, Response: UploadInfo{}, Errors: []int{404, 409},
		}),
		s.route("DELETE", "/uploads/{id}", WriteUploads, s.handleDeleteUpload, httpapi.Limits{}, httpapi.Doc{
			ID: "deleteUpload", Tags: uploads, Summary: "Take an upload out of the queue, with its file", Request: idPath{}, Errors: []int{404, 409},
		}),
		s.route("GET", "/hub", ReadUploads, s.handleGetHub, httpapi.Limits{}, httpapi.Doc{
			ID: "getHub", Tags: uploads, Summary: "Tell how the hub is, as seen from here", Response: HubInfo{},
		}),
	}
}

func (s *Service) handleListFiles(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[filesQuery](r)
	if err != nil {
		return err
	}
	_, in, err := s.visible(r.Context(), Read)
	if err != nil {
		return err
	}
	list, total, err := s.store.files(r.Context(), fileFilter{
		scope: in, project: canonicalOr(q.Project), tag: q.Tag, text: q.Q, limit: q.Limit, offset: q.Offset,
	})
	if err != nil {
		return err
	}
	items := make([]FileInfo, len(list))
	for i, f := range list {
		items[i] = FileInfo{
			ID: f.ID, ProjectID: f.Project, ClientID: f.Client, Filename: f.Filename, ContentType: f.ContentType, Size: f.Size,
			SHA256: f.SHA256, Tags: append([]string{}, f.Tags...), CreatedAt: f.Created, URL: s.localURL(r, f.ID),
		}
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(q.PageQuery, items, total))
}

func (s *Service) handleDeleteFile(w http.ResponseWriter, r *http.Request) error {
	if err := s.deleteLocal(r.Context(), canonicalOr(r.PathValue("id"))); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleListProjects(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[httpapi.PageQuery](r)
	if err != nil {
		return err
	}
	_, in, err := s.visible(r.Context(), Read)
	if err != nil {
		return err
	}
	list, total, err := s.store.projects(r.Context(), in, q.Limit, q.Offset)
	if err != nil {
		return err
	}
	items := make([]ProjectInfo, len(list))
	for i, p := range list {
		items[i] = ProjectInfo{p.Project, p.Files, p.Size, p.Latest}
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(q, items, total))
}

func (s *Service) handleListUploads(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[uploadsQuery](r)
	if err != nil {
		return err
	}
	filter, err := s.uploadsOf(r.Context(), uploadFilter{
		project: canonicalOr(q.Project), state: state(q.State), limit: q.Limit, offset: q.Offset,
	})
	if err != nil {
		return err
	}
	list, total, err := s.store.uploads(r.Context(), filter)
	if err != nil {
		return err
	}
	items := make([]UploadInfo, len(list))
	for i, u := range list {
		items[i] = s.uploadInfo(r, u)
	}
	return httpapi.JSON(w, http.StatusOK, httpapi.NewPage(q.PageQuery, items, total))
}

// uploadsOf narrows the filter to what the caller may see.
func (s *Service) uploadsOf(ctx context.Context, f uploadFilter) (uploadFilter, error) {
	who, in, err := s.visible(ctx, ReadUploads)
	f.scope = in
	if who.isAnalysis {
		f.analysis = canonicalOr(who.analysis)
	}
	return f, err
}

// uploadInfo is an upload in words.
func (s *Service) uploadInfo(r *http.Request, u upload) UploadInfo {
	info := UploadInfo{
		ID: u.ID, State: string(u.State()), Kind: u.Kind, AnalysisID: u.Analysis, ProjectID: u.Project, Filename: u.Filename, Size: u.Size,
		Attempts: u.Attempts, LastError: u.LastError, CreatedAt: u.Created, DeliveredAt: u.Delivered, HubFileID: u.HubFile,
		URL: s.base(r) + "/uploads/" + u.ID,
	}
	since, reason, _ := s.link.state()
	switch {
	case u.State() != stateQueued:
		return info
	case s.hub == nil:
		info.WaitingFor = "No hub is configured; the result is delivered when one is"
		return info
	case !since.IsZero():
		info.WaitingFor = reason
	case u.LastError != "":
		info.WaitingFor = u.LastError
	default:
		info.WaitingFor = "Its turn"
	}
	info.NextAttempt = &u.Due
	return info
}

func (s *Service) handleGetUpload(w http.ResponseWriter, r *http.Request) error {
	u, err := s.findUpload(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, s.uploadInfo(r, u))
}

func (s *Service) handleRetryUpload(w http.ResponseWriter, r *http.Request) error {
	u, err := s.retryUpload(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, s.uploadInfo(r, u))
}

func (s *Service) handleDeleteUpload(w http.ResponseWriter, r *http.Request) error {
	if err := s.deleteUpload(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

func (s *Service) handleGetHub(w http.ResponseWriter, r *http.Request) error {
	waiting, err := s.uploadsOf(r.Context(), uploadFilter{state: stateWaiting})
	if err != nil {
		return err
	}
	info := HubInfo{Configured: s.hub != nil}
	if info.Waiting, err = s.store.countUploads(r.Context(), waiting); err != nil {
		return err
	}
	if s.hub != nil {
		since, reason, known := s.link.state()
		info.Reachable, info.Reason = known && since.IsZero(), reason
		if !since.IsZero() {
			info.UnreachableSince = &since
		}
	}
	return httpapi.JSON(w, http.StatusOK, info)
}
