// jest compiles what this requires with the project's own transform.
module.exports = () => require('./minio-server').setUpSharedMinio();
