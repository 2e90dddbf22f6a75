package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// packImage writes a folder to standard output as an OCI archive of one layer, which container runtimes load:
// the same files give the same bytes.
func packImage() {
	flags := flag.NewFlagSet("pack-image", flag.ExitOnError)
	name := flags.String("name", "", "the image's name, with its tag")
	user := flags.String("user", "65532:65532", "who its processes run as")
	flags.Usage = func() {
		fmt.Fprintln(os.Stderr, "pack-image -name NAME:TAG [-user UID:GID] FOLDER PROGRAM [ARGUMENT...] >ARCHIVE")
		flags.PrintDefaults()
	}
	// ExitOnError: it does not return one.
	_ = flags.Parse(os.Args[1:])
	if *name == "" || flags.NArg() < 2 {
		flags.Usage()
		os.Exit(2)
	}
	if err := writeImage(os.Stdout, *name, *user, flags.Arg(0), flags.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack-image:", err)
		os.Exit(1)
	}
}

type blob struct {
	name string
	data []byte
}

func writeImage(out io.Writer, name, user, folder string, entrypoint []string) error {
	layer, err := packFolder(folder)
	if err != nil {
		return err
	}
	var blobs []blob
	add := func(mediaType string, data []byte) map[string]any {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		blobs = append(blobs, blob{"blobs/sha256/" + digest, data})
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest, "size": len(data)}
	}
	layerDescriptor := add(layerType, layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"User": user, "Entrypoint": entrypoint, "WorkingDir": "/",
			"Env": []string{"PATH=/usr/bin:/bin"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{layerDescriptor["digest"]}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": add(configType, config), "layers": []any{layerDescriptor},
	})
	if err != nil {
		return err
	}
	described := add(manifestType, manifest)
	described["annotations"] = map[string]string{"io.containerd.image.name": name}
	described["platform"] = map[string]string{"os": "linux", "architecture": runtime.GOARCH}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{described}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(out)
	files := append(blobs, blob{"index.json", index}, blob{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)})
	for _, file := range files {
		header := &tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.data))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(file.data); err != nil {
			return err
		}
	}
	return archive.Close()
}

// packFolder makes a layer of a folder: root's files, which everybody may read, and run where one may.
func packFolder(folder string) ([]byte, error) {
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		header, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.IsDir() || info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if info.Mode()&fs.ModeSticky != 0 {
			mode = 0o1777
		}
		plain := &tar.Header{Typeflag: header.Typeflag, Name: filepath.ToSlash(name), Linkname: target, Mode: mode, Size: header.Size}
		if err := archive.WriteHeader(plain); err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(archive, file)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}
