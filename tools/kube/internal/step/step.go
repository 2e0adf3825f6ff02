// Package step is what wfstub tells the containers of a pod that it starts, and what they answer.
//
// A pod has an init container, which lays out the input artifacts and the plan; main, which is the
// user's container with wfexec before its command; and wait, which stays until main is gone, stores
// the artifacts and writes a Result as its last line, where wfstub reads it.
package step

// Where things stand in the containers.
const (
	Shared    = "/var/run/argo"       // in all three
	Program   = Shared + "/wfexec"    // wfexec itself, for images that hold nothing but the user's
	PlanFile  = Shared + "/plan.json" // written by init
	Lock      = Shared + "/main"      // locked while main lives, even if it is killed
	Started   = Shared + "/started"   // there once main holds the lock
	Collected = Shared + "/outputs"   // what main left
	Inputs    = "/argo/inputs"        // input artifacts, in init
	Store     = "/argo/store"         // the artifacts of all workflows, in init and wait
	PlanEnv   = "WFEXEC_PLAN"         // the plan as JSON, for init
)

// Plan is what goes in and what is expected to come out.
type Plan struct {
	Inputs     []File `json:"inputs,omitempty"`
	Parameters []File `json:"parameters,omitempty"`
	Artifacts  []File `json:"artifacts,omitempty"`
}

// File is a parameter or an artifact: where main has it, and where the store has it.
type File struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
	Key  string `json:"key,omitempty"`
}

// Result is what came out.
type Result struct {
	Parameters map[string]string `json:"parameters,omitempty"`
	Missing    []string          `json:"missing,omitempty"` // outputs that main did not write, with their paths
}
