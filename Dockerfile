# The checkout with its environment, as `make install` makes it; for processors without a GPU.
#   docker build --tag ldr_tf .
#   docker run --rm --volume "$PWD:/scans" ldr_tf ldr-register --model=brain-t1 \
#       --fixed=/scans/F.nii.gz --moving=/scans/M.nii.gz --output=/scans/registered
FROM python:3.11-bookworm
WORKDIR /ldr_tf
COPY . .
RUN make install
ENV PATH="/ldr_tf/.venv/bin:$PATH"
CMD ["ldr-register", "--help"]
