# The first script of Mitogen's introduction.
import mitogen.utils


def my_first_function():
    print("Hello from remote context!")
    return 123


def main(router):
    local = router.local()
    print(local.call(my_first_function))


if __name__ == "__main__":
    mitogen.utils.log_to_file()
    mitogen.utils.run_with_router(main)
