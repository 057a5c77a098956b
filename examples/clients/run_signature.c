// Calls one function of an exported flow through TensorFlow's C library.
//
//   run_signature SAVED_MODEL N OUTPUT INPUT=FILE:DIM,DIM,... [INPUT=FILE:DIM,...]
//
// Each FILE holds N examples as raw 32-bit floats. OUTPUT and INPUT are the names of
// tensors that `saved_model_cli show --all` lists, such as StatefulPartitionedCall_4:1
// and serving_default_x:0. Prints one line with the result of each example.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define MAX_INPUTS 4
#define MAX_DIMS 8

static void fail(const char* what, const char* detail) {
  fprintf(stderr, "run_signature: error: %s: %s\n", what, detail);
  exit(2);
}

static TF_Output find(TF_Graph* graph, const char* name) {
  char operation[256];
  if (strlen(name) >= sizeof operation) fail("expected a shorter name", name);
  strcpy(operation, name);
  char* colon = strchr(operation, ':');
  if (colon == NULL) fail("expected OPERATION:INDEX", name);
  *colon = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, operation), atoi(colon + 1)};
  if (output.oper == NULL) fail("no such operation in the model", operation);
  if (output.index < 0 || output.index >= TF_OperationNumOutputs(output.oper))
    fail("no such output of the operation", name);
  return output;
}

static TF_Tensor* read_floats(const char* path, int64_t count, char* dims) {
  int64_t shape[MAX_DIMS] = {count};
  int rank = 1;
  int64_t size = count;
  for (char* dim = strtok(dims, ","); dim != NULL; dim = strtok(NULL, ",")) {
    if (rank == MAX_DIMS || atoll(dim) < 1) fail("expected positive sizes", path);
    shape[rank++] = atoll(dim);
    size *= atoll(dim);
  }
  size_t bytes = (size_t)size * sizeof(float);
  TF_Tensor* tensor = TF_AllocateTensor(TF_FLOAT, shape, rank, bytes);
  FILE* file = fopen(path, "rb");
  if (file == NULL) fail("cannot open", path);
  if (fread(TF_TensorData(tensor), 1, bytes, file) != bytes || fgetc(file) != EOF)
    fail("expected exactly N examples of 32-bit floats", path);
  fclose(file);
  return tensor;
}

int main(int argc, char** argv) {
  if (argc < 5 || argc > 4 + MAX_INPUTS)
    fail("expected SAVED_MODEL N OUTPUT INPUT=FILE:DIM,...", "see the source");
  int64_t count = atoll(argv[2]);
  if (count < 1) fail("N: expected a positive number", argv[2]);

  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1,
                                                     graph, NULL, status);
  if (TF_GetCode(status) != TF_OK) fail("cannot load", TF_Message(status));

  TF_Output inputs[MAX_INPUTS];
  TF_Tensor* values[MAX_INPUTS];
  int input_count = argc - 4;
  for (int i = 0; i < input_count; ++i) {
    char* path = strchr(argv[4 + i], '=');
    char* dims = path == NULL ? NULL : strrchr(path, ':');
    if (dims == NULL) fail("expected INPUT=FILE:DIM,...", argv[4 + i]);
    *path++ = *dims++ = '\0';
    inputs[i] = find(graph, argv[4 + i]);
    values[i] = read_floats(path, count, dims);
  }

  TF_Output output = find(graph, argv[3]);
  TF_Tensor* result = NULL;
  TF_SessionRun(session, NULL, inputs, values, input_count, &output, &result, 1, NULL,
                0, NULL, status);
  if (TF_GetCode(status) != TF_OK) fail("the model refused", TF_Message(status));
  if (TF_TensorType(result) != TF_FLOAT || TF_TensorElementCount(result) != count)
    fail("expected an output with one 32-bit float for each example", argv[3]);
  const float* numbers = TF_TensorData(result);
  for (int64_t i = 0; i < count; ++i) printf("%.9g\n", numbers[i]);

  TF_DeleteTensor(result);
  for (int i = 0; i < input_count; ++i) TF_DeleteTensor(values[i]);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
