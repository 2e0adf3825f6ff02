package results

import (
	"time"

	"lodge/internal/httpapi"
)

// The names of these types are those of the original's OpenAPI document, on which generated clients
// depend.

// IntermediateUploadResponse says where an intermediate result can be read.
type IntermediateUploadResponse struct {
	URL      string `json:"url" format:"uri"`
	ObjectID string `json:"object_id" format:"uuid"`
}

// LocalUploadResponse says where a local result can be read.
type LocalUploadResponse struct {
	URL      string `json:"url" format:"uri"`
	ObjectID string `json:"object_id" format:"uuid"`
}

// LocalTag is a tag and where its results are listed.
type LocalTag struct {
	Name string `json:"name"`
	URL  string `json:"url" format:"uri"`
}

// LocalTagListResponse lists a project's tags.
type LocalTagListResponse struct {
	Tags []LocalTag `json:"tags" nullable:"false"`
}

// LocalTaggedResult is a result under a tag.
type LocalTaggedResult struct {
	Filename string `json:"filename"`
	URL      string `json:"url" format:"uri"`
}

// LocalTaggedResultListResponse lists what has a tag, in the order in which it was given.
type LocalTaggedResultListResponse struct {
	Results []LocalTaggedResult `json:"results" nullable:"false"`
}

//nolint:revive // the original's names
type (
	// Body_putFinalResult is a final result.
	Body_putFinalResult struct {
		File httpapi.File `json:"file"`
	}
	// Body_putFinalResultWithLocalDP is a number that gets noise before it leaves.
	Body_putFinalResultWithLocalDP struct {
		File        httpapi.File `json:"file" doc:"A single number"`
		Epsilon     float64      `json:"epsilon" exclusiveMinimum:"0"`
		Sensitivity float64      `json:"sensitivity" exclusiveMinimum:"0"`
	}
	// Body_putIntermediateResult is an intermediate result.
	Body_putIntermediateResult struct {
		File         httpapi.File `json:"file"`
		RemoteNodeID string       `json:"remote_node_id,omitempty" doc:"The node to encrypt it for"`
	}
	// Body_putLocalResult is a local result.
	Body_putLocalResult struct {
		File httpapi.File `json:"file"`
		Tag  string       `json:"tag,omitempty" doc:"Up to 32 of a to z, 0 to 9 and hyphens" pattern:"^([a-z0-9]{1,2}|[a-z0-9][a-z0-9-]{0,30}[a-z0-9])$"`
	}
)

// What the routes read besides bodies, for the document.
type (
	healthAnswer struct {
		Status string `json:"status"`
	}
	analysisQuery struct {
		AnalysisID string `query:"analysis_id" doc:"For people: the analysis in whose name"`
	}
	projectQuery struct {
		ProjectID string `query:"project_id" doc:"For people: the project; an analysis has its own"`
	}
	deletionQuery struct {
		ProjectID string `query:"project_id" required:"true"`
	}
	objectPath struct {
		ObjectID string `path:"object_id" format:"uuid"`
		projectQuery
	}
	intermediatePath struct {
		ObjectID     string `path:"object_id" format:"uuid"`
		NodeID       string `query:"node_id" doc:"The node to decrypt with"`
		RemoteNodeID string `query:"remote_node_id" doc:"The same, as later clients call it"`
	}
	tagPath struct {
		TagName string `path:"tag_name"`
		projectQuery
	}
	tagQuery struct {
		TagName  string `query:"tag_name" required:"true"`
		ObjectID string `query:"object_id" required:"true" format:"uuid"`
		Filename string `query:"filename"`
	}
	forwardQuery struct {
		ObjectID     string `query:"object_id" required:"true" format:"uuid"`
		RemoteNodeID string `query:"remote_node_id" required:"true"`
	}
)

// FileInfo is a stored local result.
type FileInfo struct {
	ID          string    `json:"id"`
	ProjectID   string    `json:"project_id"`
	ClientID    string    `json:"client_id" doc:"Who stored it"`
	Filename    string    `json:"filename"`
	ContentType string    `json:"content_type"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
	Tags        []string  `json:"tags" nullable:"false"`
	CreatedAt   time.Time `json:"created_at"`
	URL         string    `json:"url"`
}

// ProjectInfo sums up the local results of a project.
type ProjectInfo struct {
	ID       string    `json:"id"`
	Files    int64     `json:"files"`
	Size     int64     `json:"size"`
	LatestAt time.Time `json:"latest_at"`
}

// UploadInfo is a final result on its way to the hub.
type UploadInfo struct {
	ID          string     `json:"id"`
	State       string     `json:"state" enum:"queued,sending,delivered,failed"`
	Kind        string     `json:"kind" enum:"final,localdp"`
	AnalysisID  string     `json:"analysis_id"`
	ProjectID   string     `json:"project_id" doc:"Empty while the hub was not there to be asked"`
	Filename    string     `json:"filename"`
	Size        int64      `json:"size"`
	Attempts    int        `json:"attempts"`
	LastError   string     `json:"last_error,omitempty" doc:"In words"`
	WaitingFor  string     `json:"waiting_for,omitempty" doc:"Why it is not on the hub yet"`
	NextAttempt *time.Time `json:"next_attempt,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	HubFileID   string     `json:"hub_file_id,omitempty"`
	URL         string     `json:"url"`
}

// HubInfo is what is known of the hub.
type HubInfo struct {
	Configured       bool       `json:"configured"`
	Reachable        bool       `json:"reachable"`
	UnreachableSince *time.Time `json:"unreachable_since,omitempty"`
	Reason           string     `json:"reason,omitempty"`
	Waiting          int64      `json:"waiting" doc:"How many uploads are not delivered yet, of those that you may see"`
}

type (
	filesQuery struct {
		httpapi.PageQuery
		Project string `query:"project"`
		Tag     string `query:"tag"`
		Q       string `query:"q" doc:"A part of the file's name, id or checksum"`
	}
	uploadsQuery struct {
		httpapi.PageQuery
		Project string `query:"project"`
		State   string `query:"state" enum:"queued,sending,delivered,failed"`
	}
	idPath struct {
		ID string `path:"id"`
	}
)
