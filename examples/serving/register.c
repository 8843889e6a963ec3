/* Registers two raw volumes by an exported network through TensorFlow's C API.

   Build, where TF is a folder with include/tensorflow/c and the libraries, such as that of the
   Python package (python -c "import tensorflow; print(tensorflow.sysconfig.get_lib())"):

     gcc -O2 -I$TF/include register.c -o register -L$TF -Wl,-rpath,$TF \
         -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -lm

   With libtensorflow's own archive the last line is -L$TF/lib -Wl,-rpath,$TF/lib -ltensorflow -lm
   instead. Run, with the size that the network was exported for (volumes: see README.md):

     ./register models/student/1 fixed.raw moving.raw 128 128 128 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>
#include <time.h>

static void require(int fine, const char *what, const char *why) {
  if (fine) return;
  fprintf(stderr, "%s: %s\n", what, why);
  exit(2);
}

static TF_Tensor *read_volume(const char *path, const int64_t *shape) {
  size_t bytes = sizeof(float) * shape[1] * shape[2] * shape[3];
  TF_Tensor *volume = TF_AllocateTensor(TF_FLOAT, shape, 5, bytes);
  FILE *file = fopen(path, "rb");
  require(file != NULL, path, "cannot be opened");
  require(fread(TF_TensorData(volume), 1, bytes, file) == bytes && fgetc(file) == EOF, path,
          "is not a float32 volume of the given size");
  fclose(file);
  return volume;
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **words) {
  require(count == 7, words[0], "needs MODEL FIXED MOVING X Y Z");
  int64_t shape[5] = {1, atoll(words[4]), atoll(words[5]), atoll(words[6]), 1};
  require(shape[1] > 0 && shape[2] > 0 && shape[3] > 0, words[0], "X Y Z must be above 0");
  TF_Tensor *inputs[2] = {read_volume(words[2], shape), read_volume(words[3], shape)};

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[1] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, words[1], tags, 1, graph, NULL, status);
  require(TF_GetCode(status) == TF_OK, words[1], TF_Message(status));

  /* The tensors of serving_default, as saved_model_cli show names them. */
  TF_Output from[2] = {{TF_GraphOperationByName(graph, "serving_default_fixed"), 0},
                       {TF_GraphOperationByName(graph, "serving_default_moving"), 0}};
  TF_Operation *answer = TF_GraphOperationByName(graph, "StatefulPartitionedCall_1");
  require(from[0].oper && from[1].oper && answer, words[1], "is no export of ldr_tf");
  TF_Output to[2] = {{answer, 0}, {answer, 1}}; /* flow, warped */

  TF_Tensor *outputs[2] = {NULL, NULL};
  double start = 0;
  for (int call = 0; call < 2; call++) { /* the first one also prepares */
    for (int i = 0; i < 2; i++)
      if (outputs[i]) TF_DeleteTensor(outputs[i]);
    start = milliseconds();
    TF_SessionRun(session, NULL, from, inputs, 2, to, outputs, 2, NULL, 0, NULL, status);
    require(TF_GetCode(status) == TF_OK, "the network", TF_Message(status));
  }
  double taken = milliseconds() - start, sum = 0, most = 0, grey = 0;

  const float *flow = TF_TensorData(outputs[0]), *warped = TF_TensorData(outputs[1]);
  int64_t voxels = shape[1] * shape[2] * shape[3];
  for (int64_t i = 0; i < voxels; i++) {
    const float *v = flow + 3 * i;
    double length = sqrt((double)v[0] * v[0] + (double)v[1] * v[1] + (double)v[2] * v[2]);
    sum += length;
    most = fmax(most, length);
    grey += warped[i];
  }
  printf("size: %s x %s x %s\n", words[4], words[5], words[6]);
  printf("mean flow: %.4f voxels\nmaximum flow: %.4f voxels\n", sum / voxels, most);
  printf("mean of warped: %.4f\nsecond call: %.1f ms\n", grey / voxels, taken);
  return 0;
}
