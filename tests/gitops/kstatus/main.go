// Prints what kstatus, by which Flux and Helm wait, concludes of each object: a JSON list in, a JSON list out.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	var objects []unstructured.Unstructured
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		log.Fatal(err)
	}
	said := make([]string, 0, len(objects))
	for i := range objects {
		result, err := status.Compute(&objects[i])
		if err != nil {
			log.Fatal(err)
		}
		said = append(said, result.Status.String())
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}
